"""Byte-level BPE, trained and applied: GPT-2's byte alphabet behind Qwen2's pre-tokenizer.

The trainer counts each distinct word once and keeps its pairs in a heap, so that a merge touches only
the words that hold the pair. Ties between equally frequent pairs go to the smaller pair, which makes
the result a function of the texts alone.
"""

import collections
import heapq
import itertools

import regex

# The split that Qwen2's tokenizer file publishes (pre_tokenizer pattern of Qwen/Qwen2-7B).
QWEN2_PATTERN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
_SPLIT = regex.compile(QWEN2_PATTERN)


def _byte_alphabet() -> dict[int, str]:
    """Byte -> printable character: itself where it prints, else the next one from U+0100 on."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    alphabet = {byte: chr(byte) for byte in printable}
    unprintable = (byte for byte in range(256) if byte not in alphabet)
    alphabet.update({byte: chr(256 + i) for i, byte in enumerate(list(unprintable))})
    return alphabet


BYTE_TO_CHAR = _byte_alphabet()


def _symbols(word: str) -> list[str]:
    return [BYTE_TO_CHAR[byte] for byte in word.encode()]


def _merge(symbols: list[str], pair: tuple[str, str]) -> list[str]:
    """Joins every occurrence of the pair, left to right."""
    merged = []
    i = 0
    while i < len(symbols):
        if i + 1 < len(symbols) and (symbols[i], symbols[i + 1]) == pair:
            merged.append(symbols[i] + symbols[i + 1])
            i += 2
        else:
            merged.append(symbols[i])
            i += 1
    return merged


def train(texts: list[str], merge_count: int) -> list[tuple[str, str]]:
    """The first `merge_count` merges, most frequent pair first."""
    word_counts = collections.Counter()
    for text in texts:
        word_counts.update(_SPLIT.findall(text))
    words = [(_symbols(word), count) for word, count in word_counts.items()]

    pair_counts = collections.Counter()
    words_with = collections.defaultdict(set)
    for index, (symbols, count) in enumerate(words):
        for pair in itertools.pairwise(symbols):
            pair_counts[pair] += count
            words_with[pair].add(index)

    heap = [(-count, pair) for pair, count in pair_counts.items()]
    heapq.heapify(heap)
    merges = []
    while len(merges) < merge_count and heap:
        negative_count, pair = heapq.heappop(heap)
        if pair_counts.get(pair, 0) != -negative_count:  # stale: requeue it with today's count
            if pair_counts.get(pair, 0) > 0:
                heapq.heappush(heap, (-pair_counts[pair], pair))
            continue
        merges.append(pair)
        changed = set()
        for index in words_with.pop(pair):
            symbols, count = words[index]
            for old_pair in itertools.pairwise(symbols):
                pair_counts[old_pair] -= count
            symbols = _merge(symbols, pair)
            words[index] = (symbols, count)
            for new_pair in itertools.pairwise(symbols):
                pair_counts[new_pair] += count
                words_with[new_pair].add(index)
                changed.add(new_pair)
        pair_counts.pop(pair, None)
        for new_pair in changed:
            if pair_counts[new_pair] > 0:
                heapq.heappush(heap, (-pair_counts[new_pair], new_pair))
    return merges


class Encoder:
    """Text -> ids. Ids are the 256 bytes, then the merges in order, then the special tokens."""

    def __init__(self, merges: list[tuple[str, str]], specials: list[str]):
        self.tokens = [BYTE_TO_CHAR[byte] for byte in range(256)]
        self.tokens += [left + right for left, right in merges]
        self.tokens += specials
        self.ids = {token: i for i, token in enumerate(self.tokens)}
        self._rank = {tuple(merge): i for i, merge in enumerate(merges)}
        self._cache = {}

    def _encode_word(self, word: str) -> list[int]:
        ids = self._cache.get(word)
        if ids is None:
            symbols = _symbols(word)
            while len(symbols) > 1:
                pairs = itertools.pairwise(symbols)
                best = min(pairs, key=lambda pair: self._rank.get(pair, len(self._rank)))
                if best not in self._rank:
                    break
                symbols = _merge(symbols, best)
            ids = self._cache[word] = [self.ids[symbol] for symbol in symbols]
        return ids

    def encode(self, text: str) -> list[int]:
        """The ids of ordinary text; a special token's text is not recognised."""
        return [i for word in _SPLIT.findall(text) for i in self._encode_word(word)]
