"""Words to numbers: whole words that are known, letter trigrams for the others, so that a typo is not fatal."""

from __future__ import annotations

import re
import unicodedata
import zlib
from collections import Counter
from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

PADDING = 0
START = 1
FIRST_TRIGRAM = 2


def words_of(text: str) -> list[str]:
    """The words of a text: lower case, without accents, split at everything that is no letter or digit."""
    plain = "".join(c for c in unicodedata.normalize("NFKD", text.lower()) if not unicodedata.combining(c))
    return re.findall(r"[^\W_]+", plain)


class WordTokenizer:
    """`words` are the known words; `size` is the number of ids: padding, start, hashed trigrams (a quarter), words."""

    def __init__(self, words: Sequence[str], size: int, max_tokens: int) -> None:
        self.n_trigrams = size // 4
        first_word = FIRST_TRIGRAM + self.n_trigrams
        if first_word + len(words) > size:
            raise ValueError(f"{len(words)} words and {first_word} other ids do not fit into a vocabulary of {size}")
        self.words = tuple(words)
        self.max_tokens = max_tokens
        self.ids = {word: first_word + n for n, word in enumerate(words)}

    @staticmethod
    def most_words(size: int) -> int:
        """How many words a vocabulary of `size` holds."""
        return size - size // 4 - FIRST_TRIGRAM

    @staticmethod
    def choose_words(texts: Iterable[str], size: int) -> list[str]:
        """The most frequent words of some texts, as many as a vocabulary of `size` holds, in alphabetical order."""
        counts = Counter(word for text in texts for word in words_of(text))
        ranked = sorted(counts, key=lambda word: (-counts[word], word))
        return sorted(ranked[: WordTokenizer.most_words(size)])

    def unknown_words(self, text: str) -> list[str]:
        """The words of a text that are not known as such, in order, each once."""
        return list(dict.fromkeys(word for word in words_of(text) if word not in self.ids))

    def spell(self, word: str) -> list[int]:
        """Ids of the letter trigrams of a word, its ends marked."""
        marked = f"<{word}>"
        trigrams = [marked[i : i + 3] for i in range(len(marked) - 2)]
        return [FIRST_TRIGRAM + zlib.crc32(trigram.encode()) % self.n_trigrams for trigram in trigrams]

    def tokens(self, text: str, spelt: Sequence[bool] | None = None) -> list[int]:
        """Ids of one text, at most `max_tokens`; `spelt` says which words to spell although they are known."""
        ids = [START]
        for n, word in enumerate(words_of(text)):
            known = word in self.ids and not (spelt is not None and spelt[n])
            ids += [self.ids[word]] if known else self.spell(word)
        return ids[: self.max_tokens]

    def __call__(self, texts: Sequence[str]) -> Tensor:
        """Ids [B, max_tokens] int64 of texts, padded."""
        return self.padded([self.tokens(text) for text in texts])

    def padded(self, rows: Sequence[Sequence[int]]) -> Tensor:
        table = torch.full((len(rows), self.max_tokens), PADDING)
        for target, row in zip(table, rows, strict=True):
            target[: len(row)] = torch.tensor(row)
        return table
