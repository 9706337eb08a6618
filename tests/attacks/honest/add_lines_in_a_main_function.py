# about: a main function under the usual guard, with an exit of zero at the end
# task: add_lines
# expect: pass
import sys

input = sys.stdin.readline


def main():
    n = int(input())
    a = [int(input()) for _ in range(n)]
    print(sum(a), max(a), sep="\n")
    sys.exit(0)


if __name__ == "__main__":
    main()
