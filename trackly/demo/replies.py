"""Owns what people write back in the demo, and what each text decides."""

from dataclasses import dataclass

from webhooks.statuses import Decision


@dataclass(frozen=True, slots=True)
class Text:
    words: str
    decision: Decision
    times: int = 1
    """How often the provider delivers it to us."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """What one person writes, a minute apart."""

    weight: int
    texts: tuple[Text, ...]
    to_unknown_number: bool = False
    """To a number no list has."""

    @property
    def ends_out(self) -> bool:
        decided = [text.decision for text in self.texts if text.decision in (Decision.OPT_OUT, Decision.OPT_IN)]
        return decided[-1:] == [Decision.OPT_OUT]


_STOP = Text("STOP", Decision.OPT_OUT)
STORIES = (
    Story(weight=8, texts=(_STOP,)),
    Story(weight=6, texts=(Text("Thanks, got it", Decision.NONE),)),
    Story(weight=3, texts=(Text("Stop!", Decision.OPT_OUT, times=2),)),
    # Misspelt, and understood; the second decides nothing new.
    Story(weight=2, texts=(Text("STPO", Decision.OPT_OUT), _STOP)),
    Story(weight=2, texts=(_STOP, Text("START", Decision.OPT_IN))),
    Story(weight=2, texts=(Text("HELP", Decision.HELP),)),
    Story(weight=1, texts=(_STOP,), to_unknown_number=True),
    Story(weight=2, texts=(Text("is this still on? 😀", Decision.NONE, times=2),)),
    Story(weight=1, texts=(Text("STPO SENDING THIS", Decision.OPT_OUT),)),
    Story(weight=1, texts=(Text("unsubscribe", Decision.OPT_OUT), Text("stop by tomorrow", Decision.NONE))),
)
