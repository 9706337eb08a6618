# about: comments, names and line ends beyond ASCII
# task: sum_of_squares
# expect: pass
# Σ n², naïvely; 名前
def sum_of_squares(zahlen_größer):
    Σ = 0
    for ñ in zahlen_größer:
        Σ += ñ**2
    return Σ
