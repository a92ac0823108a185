"""How the page of costs looks: in light and dark, on wide and narrow screens."""

from __future__ import annotations

from typing import Final

_COLOURS: Final = "".join(
    f".c{at} {{ fill: var(--c{at}); background: var(--c{at}); }}\n"
    f".l{at} {{ stroke: var(--c{at}); }}\n"
    for at in range(6)
)
STYLE: Final = f"""
:root {{ color-scheme: light dark; --ink: #1d2733; --soft: #5d6976; --line: #e3e8ee;
  --paper: #ffffff; --card: #f4f6f9;
  --c0: #2f6fde; --c1: #e08a1e; --c2: #2a9d6f; --c3: #c2418c; --c4: #7a5cd6; --c5: #8a949e; }}
@media (prefers-color-scheme: dark) {{ :root {{ --ink: #e6ebf0; --soft: #9aa7b4; --line: #2c3540;
  --paper: #12171d; --card: #1a212a; --c0: #6ea2ff; --c1: #f0a94a; --c2: #4cc795; --c3: #e577b5;
  --c4: #a58cf2; --c5: #78838f; }} }}
body {{ font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper);
  margin: 2rem 0; overflow-wrap: anywhere; }}
main {{ max-width: 960px; margin: 0 auto; padding: 0 1rem; }}
h1 {{ font-size: 1.5rem; margin: 0; }} h2 {{ font-size: 1.05rem; margin: 2.2rem 0 .2rem; }}
p {{ margin: .2rem 0; }} .soft, .legend {{ color: var(--soft); font-size: .87rem; }}
.cards {{ display: flex; flex-wrap: wrap; gap: .8rem; margin: 1.2rem 0; }}
.cards div {{ flex: 1 1 100px; background: var(--card); border-radius: 8px; padding: .7rem .9rem;
  font-size: .9rem; }}
.cards b {{ display: block; font-size: 1.35rem; font-variant-numeric: tabular-nums;
  white-space: nowrap; }}
.legend span {{ margin-right: 1.1em; display: inline-block; }}
.legend i {{ display: inline-block; width: .75em; height: .75em; border-radius: 2px;
  margin-right: .4em; }}
.split {{ display: flex; height: 1.6rem; border-radius: 6px; overflow: hidden; margin-top: .5rem; }}
.plot {{ margin: .9rem .8rem 4.8rem 4.2rem; }}
svg {{ display: block; width: 100%; overflow: visible; }}
.level {{ stroke: var(--line); }} svg text {{ fill: var(--soft); font-size: 12px; }}
rect:hover, .at:hover {{ filter: brightness(1.2); }}
.dot {{ fill-opacity: .22; }} .dot:hover {{ fill-opacity: 1; }}
.mean {{ stroke-width: 2; }} .halo {{ stroke: var(--paper); stroke-width: 6; opacity: .8; }}
.at {{ stroke: var(--paper); stroke-width: 1.5; }}
.scroll {{ overflow-x: auto; }}
table {{ border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums;
  white-space: nowrap; }}
th, td {{ text-align: right; padding: .35rem .6rem; border-bottom: 1px solid var(--line); }}
th {{ font-weight: 400; }} thead th {{ color: var(--soft); font-size: .87rem; }}
th:first-child {{ text-align: left; padding-left: 0; min-width: 9rem; white-space: normal; }}
tbody th i {{ display: block; height: 4px; border-radius: 2px; }}
summary {{ font-size: 1.05rem; font-weight: 700; margin-top: 2.2rem; cursor: pointer; }}
@media (max-width: 600px) {{ .minor {{ display: none; }} }}
@media print {{ .cards div {{ border: 1px solid var(--line); }} }}
{_COLOURS}"""
