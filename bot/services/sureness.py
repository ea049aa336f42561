"""One line that says how sure the model was, each figure by its name. Knows traces and self-reports; shows nothing itself."""

from __future__ import annotations

from bot.catalogue import language_of
from models.findings import SelfReport
from models.readings import mean_token_prob
from models.trace import Trace

_HEAD = {"en": "How sure", "zh": "有多确定"}
_PROBABILITY = {"en": "mean token probability {:.0%}", "zh": "平均词元概率 {:.0%}"}
_P_TRUE = {"en": "asked whether its answer is right, it says yes with {:.0%}", "zh": "自问对不对，答“是” {:.0%}"}
_FAINT = {"en": " (though yes and no together had only {:.0%})", "zh": "（“是”与“否”合计仅 {:.0%}）"}
_AGREEMENT = {"en": "{} of {} further answers meant the same", "zh": "再问 {1} 次，{0} 次意思相同"}
_MEANINGS = {"en": " ({} different meanings among them)", "zh": "（共 {} 种意思）"}

ENOUGH = 0.5
"""Below this much on yes and no together, the line says so: the share of yes then means little."""


def sureness_line(trace: Trace, report: SelfReport | None, locale: str) -> str:
    """The line, in Simplified Chinese for ``zh…`` locales and else in English; "" when nothing is known."""
    lang = language_of(locale)[:2]
    parts: list[str] = []
    probability = mean_token_prob(trace)
    if probability is not None:
        parts.append(_PROBABILITY[lang].format(probability))
    if report is not None and report.p_true is not None:
        faint = report.said is not None and report.said < ENOUGH
        parts.append(_P_TRUE[lang].format(report.p_true) + (_FAINT[lang].format(report.said) if faint else ""))
    if report is not None and report.agreement is not None:
        same = _AGREEMENT[lang].format(round(report.agreement * report.samples), report.samples)
        parts.append(same + (_MEANINGS[lang].format(report.groups) if report.groups > 1 else ""))
    return (": " if lang == "en" else "：").join((_HEAD[lang], " · ".join(parts))) if parts else ""
