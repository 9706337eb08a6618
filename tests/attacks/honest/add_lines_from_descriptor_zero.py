# about: open(0), a favourite of code golf
# task: add_lines
# expect: pass
_, *a = map(int, open(0).read().split())
print(sum(a))
print(max(a))
