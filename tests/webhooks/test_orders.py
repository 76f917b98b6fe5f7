"""What an adapter hands on can be stored, whatever the provider answered."""

import pytest

from trackly.calls import Answer
from webhooks import providers
from webhooks.orders import Hook, Number, Outcome, StepState

HOOK = Hook(
    url="https://hooks.example.com/api/webhook-feedbacks/x/token", name="trackly-a-1", numbers=("+18005550142",)
)


def test_the_words_of_an_outcome_fit_their_columns() -> None:
    outcome = Outcome(state=StepState.FAILED, said="a\x00b" + "c" * 2_000, fix="\ud800d")
    assert outcome.said == "ab" + "c" * 997
    assert outcome.fix == "d"


def test_a_number_a_provider_lists_fits_a_list() -> None:
    number = Number(number="+1\x00" + "4" * 300, name="n" * 300 + "\x00")
    assert (len(number.number), len(number.name)) == (31, 100)


@pytest.mark.parametrize("body", [b'{"events": 5, "resources": 3}', b'{"events": {"a": 1}}', b'{"resources": "x"}'])
def test_a_subscription_of_another_shape_is_a_fault_and_no_failure_of_ours(body: bytes) -> None:
    adapter = providers.get("infobip")
    assert adapter is not None
    dialogue = adapter.steps({"base_url": "https://x.api.infobip.com", "api_key": "k"}, HOOK)[0].look()
    next(dialogue)
    dialogue.send(Answer(status=200, body=b'{"webhook": {"notifyUrl": "%s"}}' % HOOK.url.encode()))
    with pytest.raises(StopIteration) as end:
        dialogue.send(Answer(status=200, body=body))
    assert end.value.value.state == StepState.FAILED
