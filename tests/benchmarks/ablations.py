"""What each lever is worth: the product as shipped, each lever taken out or put in alone, none of them, and all.

    python tests/benchmarks/ablations.py [--seeds 3] [--tokens 80000] [--only NAME,NAME] [--home FOLDER] [--plot PNG]

The campaigns are those of `campaign.py`: same lab, same seeds, same tokens; the table is too, with the product last.
"""

from __future__ import annotations

from campaign import arguments, run_all
from campaign_report import plot, print_report
from campaignarms import ARMS, Arm

from autosurgeon.levers import LeverSettings

LADDER = LeverSettings().salvage
SCALES = tuple(rung for rung in LADDER if rung.startswith("scale:"))
OFF = {"salvage": (), "active_anchors": False, "racing": False}
ALL = {
    "salvage": ("average:1", *LADDER, "lines:0.3", "intruders"),
    "checkpoints_per_epoch": 2,
    "kl_weight": 0.5,
    "active_anchors": True,
    "curriculum": "near",
    "family_weight": 0.5,
    "racing": True,
}


def _levers(name: str, about: str, **levers: object) -> Arm:
    return Arm(name, about, changes={"levers": levers})


LEVERS = (
    _levers("no lever", "all levers off", **OFF),
    _levers("no salvage", "without the ladder", salvage=()),
    _levers("no active anchors", "lost anchors are contrast by chance alone", active_anchors=False),
    _levers("no racing", "orders by chance, whole benches, eight samples of every gain", racing=False),
    _levers("scales alone", "no states of the training on the ladder", salvage=SCALES, checkpoints_per_epoch=0),
    _levers("average first", "the last good adapter of the same parent first", salvage=("average:1", *LADDER)),
    _levers(
        "lines ladder", "LiNeS in place of one factor for all layers", salvage=("lines:0.8", "lines:0.5", "lines:0.2")
    ),
    _levers("intruders", "new singular directions cut first", salvage=("intruders", *LADDER)),
    _levers("masked loss", "tokens that the parent finds unlikely are not learned", loss="masked"),
    _levers("dft loss", "tokens weighted by their probability", loss="dft"),
    _levers("kl term", "anchors held to the parent in the loss", kl_weight=0.5),
    _levers("curriculum", "failures of families with a win first", curriculum="near"),
    _levers("family weight", "families of failures count more evenly", family_weight=0.5),
    Arm("parent live", "no pass from base", changes={"search": {"parents": ("live",)}}),
    Arm("parent base", "every pass from base, with the accumulated rows", changes={"search": {"parents": ("base",)}}),
    _levers("all levers", "everything at once", **ALL),
)


def main() -> None:
    """Run and print."""
    parser = arguments(__doc__, seeds=3)
    parser.add_argument("--only", default="", help="names, with commas; the product is run all the same")
    options = parser.parse_args()
    wanted = {name for name in options.only.split(",") if name}
    arms = [*(arm for arm in LEVERS if not wanted or arm.name in wanted), ARMS[-1]]
    found = run_all(arms, options)
    for arm in arms:
        print(f"{arm.name}: {arm.about}")
    print()
    print_report(arms, found, options.tokens)
    if options.plot is not None:
        plot(options.plot, arms, found, options.tokens)


if __name__ == "__main__":
    main()
