# about: exit() and quit(), which the site module provides
# task: add_lines
# expect: pass
a = [int(input()) for _ in range(int(input()))]
print(sum(a))
print(max(a))
if len(a) > 1:
    quit()
exit(0)
