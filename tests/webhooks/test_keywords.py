"""What a reply decides: our own table of texts, the account's words over it, and that no text is too odd or too long."""

import time
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from webhooks.keywords import DEFAULT, MOST, START, Words, classify, is_junk
from webhooks.statuses import Decision

OUT = r"""
STOP|stop|Stop.|STOP!!!| stop |"stop"|«Quit»|STOPALL|stop all|Stop all.|END|end|Quit|CANCEL|cancel please
please cancel|UNSUBSCRIBE|unsub|UNSUB.|revoke|REVOKE|OPTOUT|opt out|opt-out|Opt-Out!|OPT OUT please|remove me
REMOVE ME|Remove me please|remove|BLOCK|WRONG|wrong number|Sorry, wrong number|you have the wrong number
You've got the wrong person|u got wrong number|block me|delete me|no more|no mas|STPO|STORP|STOD|STP|SOTP|tsop
stpp|sttop|stopp|stoppp|STOOOOP|stooopppp|sstop|stiop|stoip|stlp|stol|sto[|stpo!|dtop|srop|syop|sfop|sgop|stip
stup|stpop|stopl|stopo|styop|sotpp|storpp|stahp|stpall|stopal|stoppall|stoppp all|qiut|cancle|cansel|cancell
unsuscribe|unsubcribe|unsubscrib|unsubsribe|unsubscribed|usubscribe|unsubscribee|unsubscirbe|unsubscrbe|unscribe
unsubs|optoutt|stopit|stop it|Stop this|stop now|stop that|st0p|5top|5t0p|$top|s7op|s.t.o.p|s.t.o.p.|s t o p
S T O P|s-t-o-p|s_t_o_p|s*t*o*p|sto p|st op|s top|STO P!|un subscribe|u n s u b|unsub5cribe|s t o p please|ＳＴＯＰ
stóp|stöp|ѕtор|ЅТОР|s\u200bt\u200bo\u200bp|st\u00adop|STOP\ufe0f|𝐒𝐓𝐎𝐏|ⓢⓣⓞⓟ|🛑 STOP 🛑|STOP 😡|stop 🙏
\u2067stop\u2069|stop\u0000|\ufeffstop|‘stop’|“Stop”|please stop|Stop please|pls stop|Stop. Thanks
stop thank you|ok stop|just stop|just stop already|no stop|yes stop|stop stop stop|STOP STOP|stop quit|hey stop
I said stop|I said STOP!!|can you please stop|could you stop|i want to stop|I asked you to stop|told you to stop
stop lol|stop bro|stop fucking texting me|Text stop|reply STOP|STOP to end|stop 2 end|Stop to quit|stop spam
spam stop|stop the spam|stop sms|stop ads|Stop messages|stop all texts|stop all messages please|unsubscribe me
unsubscribe please|please unsubscribe me from this list|Unsubscribe from all|Stop. I never signed up for this
Stop! Who is this?|I told you, stop|No, stop|hi. stop.|Hi\nStop\nThanks|stop I did not sign up
STOP i don't want these|stop dont text me|stop who is this|STOP Acme|Pls take me of your list
Unsubscribe immediately or legal action|stop now or I will sue
STOP you people are awful
STOP bothering my family|stop texting me|Stop texting|please stop texting me|STOP TEXTING ME
stop sending me these messages|stop sending me this crap|quit texting me|stop messaging this number
can you please stop texting me at work|would you stop sending these|quit sending me spam|stop the texts
Please stop with the texts|stop spamming me|stop contacting me|stop harassing me or I will report you
when will you stop texting me|you never stop texting me|you didn't stop texting me|why don't you stop texting me
make it stop texting me|cease all texts|do not text|Do not text me|don't text me|dont text me again
DON'T TEXT ME ANYMORE|Don’t text this number|never text me again|please do not contact me|do not message me
I told you not to text me|i told you don't text me|I asked you not to contact me
please don't send me any more texts|dont send me anything|do not send these messages|no more texts
No more texts please|no more messages|no more of these texts|please no more spam|i don't want these texts
I do not want to receive any more messages|I no longer want your messages|I never asked for these texts
didn't ask for your spam|take me off your list|Take me off this list!|please take me off|get me off this list
remove me from your list|please remove me from the list|remove my number|Remove my number from your system
delete my number|lose my number|forget my number|take my number off your list|remove this number
drop me off the list|opt me out|please opt me out of this|I want to opt out|how do I opt out
how do i unsubscribe?|I would like to unsubscribe|trying to unsubscribe|want to stop receiving these
please let me opt out|leave me alone|LEAVE ME ALONE!!|cease and desist|fuck off|go away|stpo texting me
stp texting|stpo sending this|ARRET|arrêt|Alto|BASTA|parar|STOPP|СТОП|cancelar|darse de baja
I replied stop to you 3 times, remove me|Liked “Sale today” STOP|stop...|...stop|stop?|(stop)|-stop-|*STOP*
stop/end|STOP,END|end stop|Stop, please remove me.|stop, thx|ok. Stop.
"""
NONE = r"""
|hello|ok|thanks|Thank you!|no|nope|maybe later|who is this|who dis|not interested|👍|🛑|🛑🛑🛑|😂😂|...|???|1|42|12345
2 pm|$5|+14155550101|https://example.com/stop|www.stop.com|shop|Shop|step|stock|top|soap|stoop|stow|atop|sop
slop|stomp|strop|stork|storm|store|story|stone|spot|post|pots|tops|ship|chop|scoop|snoop|swoop|soup|setup|spoof
stamp|strap|cancer|cancels|chancel|quiet|quite|quiz|quilt|suit|blocks|block party|black|lend|bend|send|and|ended
weekend|friend|strong|wrongly|the end|input|output|sub|subs|remote|stop by|stop by tomorrow|Can you stop by?
i'll stop by later|we will stop over in Denver|stop in sometime|bus stop|which stop is it|stop sign|pit stop
nonstop|non stop|non-stop|full stop here|One stop shop|where does the bus stop|the rain won't stop
it will stop raining|stop at the store|Stop at 5|STOP by the store|stop watch|don't stop|Don’t stop|dont stop
do not stop|never stop|can't stop|cant stop laughing|can't stop won't stop|please don't stop
don't stop texting me|please do not stop sending these|never stop sending me deals
I don't want you to stop texting me|i dont want to unsubscribe|I don't want to opt out|please don't remove me
do not take me off the list|why did you stop texting me|did you stop sending coupons?|why did you remove me
you don't text me anymore|why don't you text me|you never text me|I don't text|i never text while driving
don't text and drive|Do not text while driving|don't text back|don't text me until Monday
don't text me before 9am|don't call me, text me|don't send it yet|don't send the red one
I don't want to miss your texts|no more red ones?|no more seats left|why no more texts
are there no more messages|what's wrong|that's wrong|you're wrong|Wrong color|something is wrong
did I give you the wrong size|wrong way|cancel my order|please cancel my appointment tomorrow
how do I cancel my order|can I cancel?|cancel that order and refund me|the game ends at 9|at the end of the day
in the end it was ok|end of story|block the road|chop block|quit my job today|I quit smoking|never quit
remove the stain|how to remove ink|block 5|end zone|to be or not to be|top 10|step by step|shop now|shop all
stock up|out of stock|soap please|top it|step it up|we stopped by|stopping by later|she stopped
I unsubscribed my sister's phone plan|Liked “Reply STOP to end”|Loved "STOP"
Disliked “Sale! Text STOP to opt out”|Laughed at “stop texting me”|Emphasized “STOP”|Emphasised “stop”
Questioned “Reply STOP to end”|Loved an image|Reacted 👍 to “Reply STOP to unsubscribe”|Reacted ❤️ to "STOP"
Removed a like from “Txt STOP to end”|Removed 👍 from “STOP”|Removed an exclamation from “stop”
Removed a heart from “stop texting me”|👍 to “Reply STOP to end”|❤️ to "STOP"|😂 to “ stop ”
Le gustó “Responde STOP”|A aimé « Répondez STOP »|Liked “STOP|Liked “Reply "STOP" to quit”
You reacted 👍 to “STOP”|\u200a👍\u200a to “\u200aSTOP\u200a”|Acme: 20% off today! Reply STOP to opt out
Deal of the day. Text STOP to stop receiving messages|Fwd: Acme sale ends today, txt STOP to end
Reply HELP for help, reply STOP to cancel. Acme|spam|SPAM|this is spam|scam|Scam!!|junk|You're a scammer
phishing|it's a scam|help me choose|info please about shoes|start me up|yes please|yes it is|lets start at 5
restart|I love spam|spam musubi is great|can you resend|resubscribed ok|subscriber here|Top of the morning
Stoop sale at 9|what time do you stop serving|traffic stop on 5th|last stop before home
the stop button is broken|stop motion is cool|Stop and smell the roses|stop for gas|back to back stop gap
I like the stop light|stopwatch|stopover|laptop|desktop|Stephen|Scott
"""
BACK = ["START", "start", " Start! ", "UNSTOP", "YES.", "Subscribe", "resubscribe", "ＳＴＡＲＴ"]
ASKING = ["HELP", "help?", "Info", "ＨＥＬＰ", "help!!"]
OTHER = [*((text, Decision.OPT_IN) for text in BACK), *((text, Decision.HELP) for text in ASKING)]


def texts(table: str) -> list[str]:
    escaped = table.strip("\n").replace("\n", "|")
    return [
        text.encode("raw_unicode_escape").decode("unicode_escape") if "\\" in text else text
        for text in escaped.split("|")
    ]


@pytest.mark.parametrize("text", texts(OUT))
def test_a_reply_that_asks_for_an_end_opts_out(text: str) -> None:
    assert classify(text) == Decision.OPT_OUT


@pytest.mark.parametrize("text", texts(NONE))
def test_a_reply_that_asks_for_no_end_decides_nothing(text: str) -> None:
    assert classify(text) == Decision.NONE


@pytest.mark.parametrize(("text", "decision"), OTHER)
def test_the_words_that_come_back_and_that_ask_for_help_must_be_the_whole_text(text: str, decision: Decision) -> None:
    assert classify(text) == decision
    assert classify(f"{text} for the shoes") == Decision.NONE


def test_the_table_is_long_enough_and_says_each_text_once() -> None:
    table = texts(OUT) + texts(NONE)
    assert len(table) >= 500
    assert len(set(table)) == len(table)


@pytest.mark.parametrize("text", ["spam", "This is SPAM!", "scam", "you're a scammer"])
def test_calling_it_spam_is_a_label_unless_the_account_lets_it_opt_out(text: str) -> None:
    assert is_junk(text)
    assert classify(text) == Decision.NONE
    assert classify(text, Words(junk_opts_out=True)) == Decision.OPT_OUT


@pytest.mark.parametrize("text", ["I love spam", "is the junk shop open", "Liked “spam”", "this is a text", ""])
def test_talk_of_spam_is_not_calling_it_that(text: str) -> None:
    assert not is_junk(text)
    assert classify(text, Words(junk_opts_out=True)) == Decision.NONE


# --- the account's words


@pytest.mark.parametrize("text", ["Adios", "ADIÓS!", "adios please", "Nicht mehr", "bitte nicht  mehr schreiben"])
def test_a_word_of_the_account_opts_out_alone_and_a_phrase_of_it_anywhere(text: str) -> None:
    words = Words(opt_out=["adiós", "Nicht Mehr"])
    assert classify(text) == Decision.NONE
    assert classify(text, words) == Decision.OPT_OUT
    assert classify("adios muchachos y amigos", words) == Decision.NONE


@pytest.mark.parametrize("text", ["yes", "START", "help"])
def test_a_word_of_the_account_wins_over_what_we_know_it_as(text: str) -> None:
    assert classify(text, Words(opt_out=[text])) == Decision.OPT_OUT


@pytest.mark.parametrize(
    "text", ["END", "end.", "Wrong", "Wrong number", "stop it", "STOP IT!", "stpo", "cancel please"]
)
def test_harmless_words_of_the_account_beat_the_known_ones(text: str) -> None:
    harmless = ["end", "wrong", "Wrong Number", "stop it", "STPO", "cancel"]
    assert classify(text) == Decision.OPT_OUT
    assert classify(text, Words(harmless=harmless)) == Decision.NONE
    assert classify("STOP", Words(harmless=harmless)) == Decision.OPT_OUT
    assert classify("wrong number, stop texting me", Words(harmless=harmless)) == Decision.OPT_OUT


def test_a_word_that_is_both_opts_out() -> None:
    assert classify("tschau", Words(opt_out=["Tschau"], harmless=["tschau"])) == Decision.OPT_OUT


@pytest.mark.parametrize("odd", [None, "stop", 7, [None, 7, "", " ", "!!", {}, ["x"]], {}])
def test_what_is_no_list_of_words_means_nothing(odd: object) -> None:
    assert Words(opt_out=odd, harmless=odd) == DEFAULT
    assert classify("STOP", Words(opt_out=odd, harmless=odd)) == Decision.OPT_OUT


# --- any text at all

PIECES = st.sampled_from(
    [
        "stop",
        "STOP",
        " ",
        ".",
        "!",
        "“",
        "”",
        '"',
        "Liked ",
        "👍",
        "to",
        "don't ",
        "texting",
        " me",
        "\u200b",
        "\n",
        "not ",
        "s",
        "t ",
        "x",
    ]
)
ANYTHING = st.one_of(st.text(), st.lists(PIECES, max_size=60).map("".join), st.text(alphabet="stop. 0*", max_size=200))


@settings(max_examples=1_000, deadline=None)
@given(text=ANYTHING, own=st.lists(ANYTHING, max_size=3), harmless=st.lists(ANYTHING, max_size=3), junk=st.booleans())
def test_any_text_is_classified_and_never_raises(text: str, own: list[str], harmless: list[str], junk: bool) -> None:
    words = Words(opt_out=own, harmless=harmless, junk_opts_out=junk)
    assert classify(text, words) in Decision
    assert isinstance(is_junk(text), bool)


@given(text=ANYTHING)
def test_an_opt_in_is_never_more_than_its_word(text: str) -> None:
    if classify(text) == Decision.OPT_IN:
        assert "".join(letter for letter in unicodedata.normalize("NFKC", text).casefold() if letter.isalnum()) in START


LONG = [
    "stop " * 4_000, "s t o p " * 3_000, "don't " * 3_000, "do not want the " * 1_500, "Liked “" * 3_000, "a" * 20_000,
    "stop the the the the the the " * 800, "remove " * 3_000, "." * 20_000, "\u200b" * 20_000, "\ufdfa" * 20_000, "st" * 9_000,
    "'" * 20_000, "a'" * 9_000, "s*" * 9_000, "reacted " * 3_000, '"' * 20_000, "reply stop to " * 1_500, "I want to " * 2_000,
]  # fmt: skip


@pytest.mark.parametrize("text", LONG, ids=range(len(LONG)))
def test_no_text_takes_long(text: str) -> None:
    begun = time.perf_counter()
    classify(text)
    assert time.perf_counter() - begun < 0.25


def test_what_stands_behind_the_longest_text_is_not_read() -> None:
    assert classify("hm " * MOST + ". stop texting me") == Decision.NONE


@pytest.mark.parametrize("n", [2, 12, 13, 40, 300])
@pytest.mark.parametrize("said", ["STOP {}", "{}STOP", "{}stop it", "please {}"])
def test_however_often_it_is_shouted_it_opts_out(said: str, n: int) -> None:
    assert classify(said.format("STOP " * n)) == Decision.OPT_OUT
