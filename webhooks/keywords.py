"""Owns the words by which people leave and come back, in the text of a reply.

Which way ties go. An opt-out that is missed is a breach of law; one wrongly made loses a customer until the next START. So
where a reply says nothing but a word that opts out, however it is spelt and whatever courtesy stands around it, it opts
out. Where it says more, it opts out when one of its sentences asks that messages end, and ordinary talk that only has such
a word in it ('stop by tomorrow', 'don't stop') is a reply. An opt-in is never guessed: the whole text must be the word.
"""

import re
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby, islice

from webhooks.statuses import Decision

# The longest text a provider hands over in one piece; what stands behind it is not read.
MOST = 1_600
# A word said alone in longer company is hidden by it.
_CLAUSE_WORDS = 12


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# The product's list and Twilio's. Strong ones opt out as a sentence of their own; the others mean too much else for that.
_STRONG = _words("stop stopall unsubscribe unsub optout")
# No account may make these harmless: carriers and law demand that they opt out.
DEMANDED = _STRONG | _words("end quit cancel")
_WEAK = _words("end quit cancel revoke block wrong remove")
_ABROAD = _words("arret arreter arretez desabonner alto basta parar baja cancelar desuscribir sair stopp abmelden")
# As fold() leaves it: of the Cyrillic letters only the last looks like none of ours.
_ABROAD |= {"ctoп"}
START = _words("start unstop yes subscribe resubscribe")
HELP = _words("help info")
_JUNK = _words("spam scam junk spammer scammer scammers spammers scams phishing")

# How far a word may be from one of ours and still be it, and what is a word of its own however near it is.
_REACH = {"stop": 1, "stopall": 1, "unsub": 1, "optout": 1, "cancel": 1, "unsubscribe": 2}
_ORDINARY = _words(
    "shop step stoop stow atop top sop slop swop strop stomp stoup estop stoops shops steps tops stoic strap stamp"
    " cancer cancels chancel cancers subscribe resubscribe subscribed subscriber"
)
# Too short to measure, or further off than that.
_MISSPELT = _words(
    "spto tsop tspo ostp stahp stahhp staph stpoo sotpp storpp styop stiop stpall qiut quti unsuscrib unsubscibe"
    " unsubcribed unsuscribir unsubsribe unsubscrive unscribe unsubcrib remov remve rmove removeme stopit stopnow"
    " stopplease stoptexting stoptext stopmsg stopsms stoptxt optmeout plsstop pleasestop stop2end stop2quit"
)

_POLITE = _words(
    "please pls plz plse pleas pleese kindly thanks thank you thx ty tks now ok okay asap immediately sorry"
)
_BEFORE = _POLITE | _words(
    "i said can could would u need want to asked told just hi hello hey yes no yo omg god jesus damn fuck fucking fuckin ffs"
    " bro dude man sir seriously lol haha text txt reply send again and"
)
_AFTER = _POLITE | _words(
    "it this that these those them all everything any more anymore again already texts text texting texing txt txts txting"
    " message messages messaging msg msgs sms sending contacting bothering spamming harassing notifications ads promos me us"
    " my number phone from to 2 end quit for good fucking fuckin damn today right the your ur bro dude man lol haha forever"
)
# What follows 'stop' where a place is meant, or a thing of that name.
_PLACES = _words(
    "by in at over off sign signs light lights for the and on near along here there loss gap motion watch go"
)
# What follows it where a person goes on after the word: 'stop I never signed up'.
_GOING_ON = _words("i im i'm ive i've u dont don't didnt didn't not no or who why wrong")

_LOOKALIKES = str.maketrans("авеіјкмнорсѕтухαβεικνορτυχ", "abeijkmhopcstyxabeiknoptux")
_LEET = str.maketrans("0135748", "oiestab")
_SIGNS = str.maketrans(
    {"’": "'", "‘": "'", "`": "'", "´": "'", "ʼ": "'", "$": "s", "@": "a"} | dict.fromkeys("“”„«»‟", '"')
)
_WORD = re.compile(r"[^\W_](?:[^\W_]|['*|](?=[^\W_]))*")
_SENTENCE = re.compile(r"[.!?]+(?=\s|\"|$)|[,;:\n\r]+|(?<=\s)[-\u2013\u2014]+(?=\s)")
_RUN = re.compile(r"(.)\1{2,}")

# What phones send when somebody taps a heart at a message: the verb, and the message itself in quotes.
_REACTION = re.compile(
    r"\W*(?:(?:you )?(?:liked|loved|disliked|laughed at|emphasi[sz]ed|questioned|reacted [^\"]{1,40}|removed [^\"]{1,60} from)"
    r"|le gusto|le encanto|se rio de|enfatizo|a aime|a adore|hat|[^\w\"]{1,20} (?:to|from|a|zu))\s*\""
)
_TEXTS = r"(?:texts?|txts?|messages?|msgs?|sms|spam|ads?|alerts?|notifications?|promos?|marketing|crap|shit|bullshit)"
_SENDING = (
    r"(?:texting|txting|texing|textin|messaging|messging|msging|sending|contacting|calling|spamming|bothering|harassing"
    r"|emailing|writing|blowing|hitting)"
)
_FILLING = (
    r"(?:(?:to|get|getting|receive|receiving|any|more|anymore|of|these|your|ur|the|this|those|further|other|be|sent|such"
    r"|daily|all|with|from|you|me|us|my|stupid|fucking|fuckin|damn|promotional|unsolicited|annoying|dumb|constant) ){0,6}"
)
_DONT = r"(?:do not|dont|don't|donot|do n't)"
# A request is none where it is turned round. The same words first: the leftmost match takes them in.
_TURNED = (
    rf"(?P<no>(?:{_DONT}|(?<!you )never|not)(?: (?:ever|please))?"
    r"(?: (?:want|need|wish|like|asking|going))?(?: (?:you|u|me|it|this|them) to| to)? "
    r"|(?:why|when|did|have|has|had|how come)(?: (?:did|have|you|u|they|i|yall|y'all)){1,2} |why |how come )?"
)
_SUBJECT = r"(?P<no>(?<!told )(?:you|u|i|we|they|he|she|who|people|phones) )?"
_NARROWED = r"(?! (?:me )?(?:and|while|back|before|after|until|till|yet|unless|if)\b)"
_PHRASES = tuple(
    re.compile(pattern)
    for pattern in (
        rf"\b{_TURNED}(?:stop|stpo|stp|sotp|quit|cease|discontinue|end) (?:me )?{_FILLING}(?:{_SENDING}|{_TEXTS})\b",
        rf"\b{_TURNED}(?:stop|quit) {_SENDING}\b",
        rf"\b{_SUBJECT}(?:{_DONT}|never|no longer) (?:ever |again |please )?(?:text|txt|message|msg|contact|sms){_NARROWED}\b",
        rf"\b(?P<no>(?:you|u|i|we|they) )?{_DONT} send {_FILLING}(?:{_TEXTS}|anything|anymore|stuff)\b",
        r"\bnot to (?:text|txt|message|msg|contact|send)\b",
        r"\btold (?:you|u|yall|y'all) (?:guys |people |already )?(?:to |2 )?(?:stop|quit)\b",
        rf"\b(?P<no>(?:why|how come|are there|so) )?no more {_FILLING}(?:{_TEXTS}|texting)\b",
        rf"\b(?:{_DONT}|no longer|didnt|didn't|never) (?:ever )?(?:want|wish|wanna|need|ask|asked) (?:for )?{_FILLING}{_TEXTS}\b",
        rf"\b{_TURNED}(?:take|get|remove|delete|drop|pull) (?:me|us) (?:off?|out)\b",
        rf"\b{_TURNED}(?:remove|delete|unsubscribe|unsub) (?:me|us|my|this|that number|from|number)\b",
        rf"\b{_TURNED}(?:take|get) (?:my|this) (?:name|number|phone|cell|info) (?:off|out)\b",
        r"\b(?:lose|forget) (?:my|this) number\b",
        rf"\b{_TURNED}opt (?:me|us|my number) out\b",
        rf"\b(?:(?P<no>{_DONT}|not|never) )?(?:want|like|wish|need|trying|try|how do i|how can i|how|can i|let me|i|i'm|im)"
        r" (?:to )?(?:opt out|opting out|optout|unsubscribe|unsub|be removed|be taken off|stop receiving|stop getting)\b",
        r"\b(?:you|u|ya|you've|youve) (?:have |got |have got |'ve got |must have |reached |texted )?(?:the |a )?wrong"
        r" (?:number|person|guy|phone|man|woman|lady)\b",
        r"\b(?:leave me (?:the fuck )?alone|cease and desist|fuck off|piss off|go away|do not disturb)\b",
    )
)
_WHOLE = frozenset(
    [
        "opt out",
        "opt me out",
        "no more",
        "no mas",
        "wrong number",
        "wrong person",
        "wrong phone",
        "remove me",
        "delete me",
    ]
    + ["remove number", "remove my number", "block me", "stop all", "do not text", "darse de baja", "no texts"]
)
# The last line of our own messages, when somebody sends one back.
_FOOTER = re.compile(
    r"\b(?:reply|text|txt|send|type|respond|answer) (?:with )?stop (?:to|2|4|for)"
    r" (?:end|opt|optout|unsub|unsubscribe|cancel|quit|stop|be|no|remove|leave)\b.*"
)
_JUNK_AROUND = _POLITE | _words(
    "this is a an it it's its looks like total such what obvious obviously you're youre your you are msg message"
)


@dataclass(frozen=True, slots=True)
class Words:
    """What an account says about words, in any spelling; its words win over the known ones, and opting out over harmless."""

    opt_out: frozenset[str] = frozenset()
    harmless: frozenset[str] = frozenset()
    junk_opts_out: bool = False

    def __post_init__(self) -> None:
        for name in ("opt_out", "harmless"):
            object.__setattr__(self, name, _entries(getattr(self, name)))


def _entries(given: object) -> frozenset[str]:
    """Each as it is compared. What is no text was typed into the JSON by mistake, and means nothing."""
    listed = given if isinstance(given, Iterable) and not isinstance(given, str | bytes) else ()
    return frozenset(_joined(fold(entry)) for entry in listed if isinstance(entry, str)) - {""}


DEFAULT = Words()


def classify(text: str, words: Words = DEFAULT) -> Decision:
    """What this reply decides. Never raises, whatever the text; its time grows with the length of the text and no faster."""
    said = _without_reaction(fold(text))
    clauses = [_without(clause, words.harmless) for clause in _clauses(said)]
    whole = " ".join(clause for clause in clauses if clause)
    if _is_own(_joined(said), words) or _opts_out(text, whole, clauses, words):
        return Decision.OPT_OUT
    if whole in words.harmless:
        return Decision.NONE
    if whole in START:
        return Decision.OPT_IN
    return Decision.HELP if whole in HELP else Decision.NONE


def is_junk(text: str) -> bool:
    """Does the reply call our message spam and say nothing else? A label, unless the account lets it opt out."""
    said = _joined(_without_reaction(fold(text))).split()
    return any(word in _JUNK for word in said) and all(word in _JUNK or word in _JUNK_AROUND for word in said)


def fold(text: str) -> str:
    """As it is compared: one case, no accents, no invisible characters, look-alikes as the letters they imitate."""
    plain = unicodedata.normalize("NFKD", text[:MOST])[: 2 * MOST].translate(_SIGNS).casefold()
    seen = "".join(letter for letter in plain if unicodedata.category(letter) not in ("Mn", "Me", "Cf"))
    return seen.translate(_LOOKALIKES)


def _joined(text: str) -> str:
    """Its words with one space between them; 's t o p' and 's.t.o.p' are one."""
    return " ".join(_merged(_WORD.findall(text)))


def _merged(found: list[str]) -> Iterator[str]:
    """Letters that stand alone, three and more of them, are one word spelt out."""
    spelt: list[str] = []
    for word in [*found, ""]:
        if len(word) == 1:
            spelt.append(word)
            continue
        yield from ["".join(spelt)] if len(spelt) > 2 else spelt
        spelt = []
        if word:
            yield word


def _clauses(said: str) -> list[str]:
    """Sentences and their parts; the last line of a message of ours is no part of what the person says beside it."""
    parts = [clause for part in _SENTENCE.split(said) if (clause := _joined(part))]
    return parts if len(parts) == 1 else [_FOOTER.sub("", clause).strip() for clause in parts]


def _without_reaction(said: str) -> str:
    """The text without a message of ours that the phone quotes because somebody tapped at it."""
    begun = _REACTION.match(said)
    return said[said.rfind('"', begun.end()) + 1 or len(said) :] if begun else said


def _without(clause: str, harmless: frozenset[str]) -> str:
    """The clause without the account's harmless phrases; a harmless word alone counts only where it is all that is said."""
    kept = f" {clause} "
    for phrase in harmless:
        if " " in phrase:
            kept = kept.replace(f" {phrase} ", " ")
    return kept.strip()


def _is_own(whole: str, words: Words) -> bool:
    """Is it one of the account's words, courtesy aside, or has it one of its phrases?"""
    if not words.opt_out:
        return False
    bare = " ".join(word for word in whole.split() if word not in _POLITE)
    kept = f" {whole} "
    return bool({whole, bare} & words.opt_out) or any(
        " " in phrase and f" {phrase} " in kept for phrase in words.opt_out
    )


def _opts_out(text: str, whole: str, clauses: list[str], words: Words) -> bool:
    if not whole or whole in words.harmless or whole in START:
        return False
    if _is_alone(whole, words.harmless) or any(_is_said(clause, words.harmless) for clause in clauses):
        return True
    if words.junk_opts_out and is_junk(text):
        return True
    return _goes_on(text, whole, words.harmless) or any(_asks(clause) for clause in clauses)


def _is_alone(whole: str, harmless: frozenset[str]) -> bool:
    """The whole text is a word that opts out, or several of them, with nothing but courtesy around."""
    if whole in _WHOLE:
        return True
    said = _once(whole)
    bare = [word for word in said if word not in _POLITE]
    if len(said) > _CLAUSE_WORDS or not bare or set(bare) & harmless:
        return False
    return " ".join(bare) in _WHOLE or all(_is_strong(word) or _is_weak(word) for word in bare)


def _is_said(clause: str, harmless: frozenset[str]) -> bool:
    """The clause says 'stop' and nothing that makes it mean something else: 'please just stop', 'stop it now'."""
    said = _once(clause)
    if len(said) > _CLAUSE_WORDS:
        return False
    for place in range(len(said)):
        for width in (1, 2):
            word = "".join(said[place : place + width])
            # Two pieces are one word only where they make it exactly: 'sto p', 'un subscribe'.
            is_word = _is_strong(word) if width == 1 else word in _STRONG
            if not is_word or word in harmless or place + width > len(said):
                continue
            before, after = said[:place], said[place + width :]
            if all(word in _BEFORE or word in _JUNK or _is_strong(word) for word in before) and all(
                word in _AFTER or word in _JUNK or word in _WEAK or _is_strong(word) for word in after
            ):
                return True
    return False


def _once(text: str) -> list[str]:
    """Its words, one more than a clause may have at most; one said over and over counts once: 'STOP STOP STOP …'."""
    return [word for word, _ in islice(groupby(text.split()), _CLAUSE_WORDS + 1)]


def _goes_on(text: str, whole: str, harmless: frozenset[str]) -> bool:
    """It begins with the word and then goes on about it, or shouts the word alone of all: 'STOP you people'."""
    first, _, rest = whole.partition(" ")
    follower = next((word for word in rest.split() if word not in _POLITE), "")
    if not rest or first in harmless or first not in _STRONG or follower in _PLACES:
        return False
    letters = [letter for letter in text[:MOST] if letter.isalpha()]
    begins = "".join(letters[: len(first)])
    return follower in _GOING_ON or (begins.isupper() and not "".join(letters[len(first) :]).isupper())


def _asks(clause: str) -> bool:
    """One of the phrases that ask for an end stands in it, and is not turned round: 'please don't stop texting me'."""
    return any(
        "no" not in pattern.groupindex or not found["no"] for pattern in _PHRASES for found in pattern.finditer(clause)
    )


def _is_weak(word: str) -> bool:
    return word in _WEAK or word in _ABROAD or _is_near(word, "cancel")


def _is_strong(word: str) -> bool:
    """One of the words that mean nothing else, also misspelt, stretched ('stoooop') or disguised ('st0p')."""
    if word in _ORDINARY or word in START:
        return False
    if word in _STRONG or word in _MISSPELT:
        return True
    plain = word.translate(_LEET) if not word.isdigit() else word
    plain = plain.replace("*", "") if plain.count("*") > 1 else plain
    short = _RUN.sub(r"\1", plain)
    return any(
        _is_near(spelling, target)
        for spelling in {plain, short}
        for target in ("stop", "stopall", "unsub", "optout", "unsubscribe")
    )


def _is_near(word: str, target: str) -> bool:
    # A first letter of its own makes 'resubscribe' of it; numbers are near to nothing.
    if word in _ORDINARY or word.isdigit() or (len(target) > 8 and word[:1] not in ("u", "i", "o", "y")):
        return False
    return _is_within(word, target, _REACH[target])


def _is_within(word: str, target: str, edits: int) -> bool:
    """So many letters added, left out, mistaken or swapped with the next at most."""
    if word == target:
        return True
    if not edits or abs(len(word) - len(target)) > edits:
        return False
    same = 0
    while word[same : same + 1] == target[same : same + 1]:
        same += 1
    word, target = word[same:], target[same:]
    is_swapped = len(word) > 1 and word[:2] == target[1::-1]
    return (
        _is_within(word[1:], target[1:], edits - 1)
        or _is_within(word, target[1:], edits - 1)
        or _is_within(word[1:], target, edits - 1)
        or (is_swapped and _is_within(word[2:], target[2:], edits - 1))
    )
