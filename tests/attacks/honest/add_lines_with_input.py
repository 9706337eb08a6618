# about: input(), and the same prompt text nowhere
# task: add_lines
# expect: pass
n = int(input())
a = [int(input()) for _ in range(n)]
print(sum(a))
print(max(a))
