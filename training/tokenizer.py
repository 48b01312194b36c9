"""The tokenizer of our own models: byte-level BPE with tokens for chat, passages and citations.

Knows texts, turns and token ids; does not know models or files of tokens. Byte-pair encoding as
in Sennrich et al. 2016 ("Neural machine translation of rare words with subword units"), over
bytes as in Radford et al. 2019 (GPT-2), so that no text is out of vocabulary and decoding gives
back exactly what was encoded. Each digit is a token of its own: numbers have to be copied
exactly, and a number that is spelled in one way only is easier to copy.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from bot.types import Turn
from training.errors import DataMissing

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

END_OF_TEXT = "<|endoftext|>"
PAD = "<|pad|>"
START_OF_TURN = "<|im_start|>"
END_OF_TURN = "<|im_end|>"
SPECIAL = (END_OF_TEXT, PAD, START_OF_TURN, END_OF_TURN)
"""Never in a text: a document that spells one of these is encoded as the letters it consists of."""

CITATIONS = tuple(f"{space}[{number}]" for space in ("", " ") for number in range(1, 10))
MARKS = (
    *CITATIONS,
    "<passages>", "</passages>", '<passage number="', '" title="', "</passage>",
    "<question>", "</question>", "NOT IN THE PASSAGES.",
)  # fmt: skip
"""What every prompt and answer holds, one token each. Ordinary text otherwise."""

CHAT_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n"
    "{{ message['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)

# A word with the space or sign before it; one digit; a run of signs; line ends; other space.
_PIECES = (
    r"'(?i:s|t|re|ve|m|ll|d)\b|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
_ALPHABET = 256  # one token per byte, so that every text can be written


def train(texts: Iterable[str], vocabulary: int) -> PreTrainedTokenizerFast:
    """Learn a tokenizer of at most `vocabulary` tokens.

    Fewer when the texts hold no more pairs that occur twice. Raises `DataMissing` when
    `vocabulary` leaves no room for the bytes and the marks.
    """
    from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    least = _ALPHABET + len(SPECIAL) + len(MARKS)
    if vocabulary < least:
        raise DataMissing(
            f"A vocabulary of {vocabulary} tokens is too small.", f"It takes at least {least}."
        )
    bare = Tokenizer(models.BPE())
    bare.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_PIECES), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    bare.decoder = decoders.ByteLevel()
    bare.train_from_iterator(
        texts,
        trainers.BpeTrainer(
            vocab_size=vocabulary - len(MARKS),
            min_frequency=2,
            show_progress=False,
            special_tokens=list(SPECIAL),
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        ),
    )
    bare.add_tokens([AddedToken(mark, normalized=False, special=False) for mark in MARKS])
    make: Any = PreTrainedTokenizerFast  # not typed
    tokenizer: PreTrainedTokenizerFast = make(
        tokenizer_object=bare,
        eos_token=END_OF_TURN,
        pad_token=PAD,
        extra_special_tokens=[END_OF_TEXT, START_OF_TURN],
        clean_up_tokenization_spaces=False,
    )
    tokenizer.chat_template = CHAT_TEMPLATE
    return tokenizer


def load(folder: Path) -> PreTrainedTokenizerFast:
    """The tokenizer saved in `folder`. Raises `DataMissing` when there is none."""
    from transformers import AutoTokenizer

    if not (folder / "tokenizer.json").is_file():
        raise DataMissing(f"There is no tokenizer in {folder}.", "Train one first.")
    return cast(
        "PreTrainedTokenizerFast", AutoTokenizer.from_pretrained(folder, local_files_only=True)
    )


class Encoder:
    """Texts and conversations to token ids, for training.

    What stands in a text can never become a special token: those are put in by this class alone,
    exactly where the chat template puts them.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerFast) -> None:
        from tokenizers import Tokenizer

        # A copy, since the flag below would change what the given tokenizer does.
        self._bare = Tokenizer.from_str(tokenizer.backend_tokenizer.to_str())
        self._bare.encode_special_tokens = True
        vocabulary = self._bare.get_vocab(with_added_tokens=True)
        self._special = {one: vocabulary[one] for one in SPECIAL}

    def special(self, token: str) -> int:
        """The id of one of `SPECIAL`."""
        return self._special[token]

    def text(self, text: str) -> list[int]:
        """Token ids of plain text; nothing is put around it."""
        return list(self._bare.encode(text, add_special_tokens=False).ids)

    def turn(self, turn: Turn) -> list[int]:
        """One turn as the chat template writes it, its end and the line end after it included."""
        start, end = self.special(START_OF_TURN), self.special(END_OF_TURN)
        return [start, *self.text(f"{turn.role}\n{turn.content}"), end, *self.text("\n")]

    def turns(self, turns: Sequence[Turn]) -> list[int]:
        """A whole conversation as the chat template writes it."""
        return [one for turn in turns for one in self.turn(turn)]
