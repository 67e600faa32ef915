#!/usr/bin/env python3
"""Makes tests/data/tokenizer/pre_tokenizers.txt: how published pre-tokenizers cut unkind texts.

    pip install tokenizers regex          # 0.23.3 and 2026.11.15 made the committed file
    tests/data/make_pretokenizer_golden.py --texts 70 > tests/data/tokenizer/pre_tokenizers.txt

Each pre-tokenizer is built in Hugging Face's tokenizers from the definition in the model's
tokenizer.json ("default" has none: its patterns are those that GGUF converters mean by the name).
Those that are one pattern are run through the `regex` module as well, and must agree.

The file has a line `text HEX` per text, then a line `NAME LENGTHS` per pre-tokenizer: the bytes of
each word. A larger file for a one-off run: --texts 5000 --seed 2, then
INGOT_PRE_TOKENIZER_GOLDEN=FILE ingot_unit_tests --gtest_filter='PreTokenizer*'.
"""

import argparse
import random
import sys
import unicodedata

import regex
from tokenizers import Regex
from tokenizers.pre_tokenizers import ByteLevel, Digits, Punctuation, Sequence, Split

GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
ANY_CASE = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
LINES = r"\s*[\r\n]+|\s+(?!\S)|\s+"
UPPER = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]"
LOWER = r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
LLAMA3 = ANY_CASE + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|" + LINES
QWEN2 = ANY_CASE + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|" + LINES
QWEN35 = (ANY_CASE + r"|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|" +
          LINES)
SEED_CODER = ANY_CASE + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1}| ?[^\s\p{L}\p{N}\r\n]+|" + LINES


def o200k(contraction, digits):
    return (rf"[^\r\n\p{{L}}\p{{N}}]?{UPPER}*{LOWER}+{contraction}"
            rf"|[^\r\n\p{{L}}\p{{N}}]?{UPPER}+{LOWER}*{contraction}"
            rf"|{digits}| ?[^\s\p{{L}}\p{{N}}]+[\r\n/]*|" + LINES)


GPT4O = o200k(ANY_CASE + "?", r"\p{N}{1,3}")
TEKKEN = o200k("", r"\p{N}")
# Code points written out: normalization would change some of the Greek and letter-like ones.
DEEPSEEK_LETTERS = (
    "A-Za-zµÀ-ÖØ-öø-ƺƼ-ƿǄ-ʓʕ-ʯͰ-ͳͶͷͻ-ͽͿΆΈ-ΊΌΎ-ΡΣ-ϵϷ-ҁҊ-ԯԱ-ՖႠ-ჅᎠ-Ᏽᏸ-ᏽᲐ-ᲺᲽ-Ჿᴀ-ᴫᵫ-ᵷᵹ-ᶚḀ-ἕἘ-Ἕἠ-ὅὈ-Ὅὐ-ὗ"
    "ὙὛὝ\u1f5f-\u1f7dᾀ-ᾴᾶ-ᾼ\u1fbeῂ-ῄῆ-ῌ\u1fd0-\u1fd3\u1fd6-\u1fdbῠ-Ῥῲ-ῴῶ-ῼℂℇℊ-ℓℕℙ-ℝℤ\u2126ℨ\u212a-ℭℯ-ℴℹℼ-ℿ"
    "ⅅ-ⅉⅎↃↄⰀ-ⱻⱾ-ⳤⳫ-ⳮⳲⳳꙀ-ꙭꚀ-ꚛꜢ-ꝯꝱ-ꞇꞋ-ꞎꭰ-ꮿﬀ-ﬆﬓ-ﬗＡ-Ｚａ-ｚ𐐀-𐑏𐒰-𐓓𐓘-𐓻𐲀-𐲲𐳀-𐳲𑢠-𑣟𞤀-𞥃")
EAST_ASIAN = "[一-龥ࠀ-一가-퟿]+"
DEEPSEEK3_MAIN = (r"""[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+"""
                  r"|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|" + LINES)
PLAIN = ByteLevel(add_prefix_space=False, use_regex=False)
GPT2_BYTES = ByteLevel(add_prefix_space=False, use_regex=True)


def patterns(*expressions):
    """Isolated splitting by one pattern after another."""
    return [Split(Regex(e), "isolated") for e in expressions]


PRE_TOKENIZERS = {
    "default": patterns(r"[\p{P}\$\+<=>\^~\|]+", GPT2, r"\p{N}+", "[0-9][0-9][0-9]") + [PLAIN],
    "gpt-2": [GPT2_BYTES],
    "llama-bpe": patterns(LLAMA3) + [PLAIN],
    "qwen2": patterns(QWEN2) + [PLAIN],
    "qwen35": patterns(QWEN35) + [PLAIN],
    "seed-coder": patterns(SEED_CODER) + [PLAIN],
    "gpt-4o": patterns(GPT4O) + [PLAIN],
    "tekken": patterns(TEKKEN) + [PLAIN],
    "starcoder": [Digits(individual_digits=True), GPT2_BYTES],
    "falcon": [Punctuation("contiguous"), GPT2_BYTES, Digits(individual_digits=False)] +
              patterns("[0-9][0-9][0-9]"),
    "deepseek-coder": patterns("[\r\n]", r"\s?\p{L}+", r"\s?\p{P}+", EAST_ASIAN) +
                      [Digits(individual_digits=True), PLAIN],
    "deepseek-llm": patterns("[\r\n]", rf"\s?[{DEEPSEEK_LETTERS}]+",
                             r"\s?[!-/:-~！-／：-～‘-‟　-。]+", r"\s+$", EAST_ASIAN) +
                    [Digits(individual_digits=True), PLAIN],
    "deepseek-v3": patterns(r"\p{N}{1,3}", "[一-龥぀-ゟ゠-ヿ]+", DEEPSEEK3_MAIN) + [PLAIN],
}
SINGLE = {"gpt-2": GPT2, "llama-bpe": LLAMA3, "qwen2": QWEN2, "qwen35": QWEN35,
          "seed-coder": SEED_CODER, "gpt-4o": GPT4O, "tekken": TEKKEN}

HAND_WRITTEN = [
    "", " ", "  ", "\n", "\r\n\r\n", " \n", "\n ", " \n \n  x", "\t\tif (a)\n\t\t\treturn;\n",
    "I'll We'Ve 'S 'ſ x'ſ 'RE'd''s ' s 'tis", "HTTPServer getHTTPResponseCode XMLHttpRequest2",
    "ÀÉÎõü ÑANDÚ straßE ǅungla ΑΒΓδέ НЕЩО нЕЩо", "1 12 123 1234 12345 1234567890 ½²³ ٣٤٥٦ Ⅻ ①②③④",
    "x=1;y=22;z=333;w=4444 0x1F3a 1e-9 3.14_15", "foo(bar[i]) -> baz::qux<T>&& {}; // ok\n\n",
    "a.b,c;d:e!f?g/h\\i|j`k~l^m$n+o<p=q>r", "///\r\n///\n//// /\n/", "!!!\n\n???\r\n...", "= \n =\n",
    "é é é́ नमस्ते दुनिया กำลัง ភាសា", "́́ ́a ́1 ́\n ÁB́ aB́c",
    "你好，世界。こんにちは カタカナ 한국어 ㄱㄴ龥龦", "　全角　スペース　", "‘a’ “b” ‟c‟ «d» …—–",
    "a\u00a0b\u2003c\u3000d\u2028e\u2029f\u0085g\u000bh\u000ci\u180ej\u200bk\ufeffl",
    "   trailing   ", "tab\t tab \t\tx  \t", "no\u202fbreak \u205f ", "😀👍🏽👨‍👩‍👧‍👦 ☃️x ✅!", "$€£¥₿ +−×÷ ∑∫ ^`¨´",
    "\u0001\u0002a\u0003 \u0004\u0005 b\u007f\u0080c", "\x00", "def f(x):\n    return x  # why?\n\n\n",
    "ªº ʰʷ ʼn ŉ İı ſ K Ω Å ẞ ﬁ ﬆ", "\ue000\uf8ff \U000f0000a", "𝐀𝒷𝟘𝟙 𐐀𐐨 𞤀𞤢 𐒰 𑢠", "ᎠᏸᲐა Აა", "ΐώΊ ὠΏ ᾠ",
    "'", "''", "'l", "'r", "a'", "x'T's'", "_snake_case __dunder__ kebab-case", "@user #tag %d &amp;",
    "12ab34CD ab12 CD34 1a1A", "A", "a", "AB", "Ab", "aB", "ABc", "ABcD", "文ABc文", "ʰAʰB ªAªB ª1",
]


def is_known_punctuation(character):
    """Whether falcon's Punctuation step, whose tables are older than the others', knows it."""
    return len(Punctuation("isolated").pre_tokenize_str(f"a{character}a")) == 3


def random_texts(count, seed):
    """Texts whose neighbours are of unlike classes, over code points that Unicode 14 assigns.

    What Unicode made punctuation, or made something else, after falcon's library is left out:
    there the implementations differ by their age, not by their rules.
    """
    rng = random.Random(seed)
    groups = {}
    for code in range(0x110000):
        group = unicodedata.category(chr(code))
        if group in ("Cn", "Cs"):
            continue
        if code < 0x80 or (group[0] == "P") == is_known_punctuation(chr(code)):
            groups.setdefault(group, []).append(chr(code))
    names = sorted(groups)
    common = list("   \t\n\r''aAbBsStTdDmMlLvVrReE0123456789.,;:!?/()[]{}<>=+-*_\"`~^|\\#@$%&")
    for _ in range(count):
        text = ""
        for _ in range(rng.randrange(1, 12)):
            pool = common if rng.random() < 0.6 else groups[rng.choice(names)]
            character = rng.choice(pool)
            text += character * rng.choice((1, 1, 1, 2, 3, 4))
        yield text


def words(name, text):
    """The words in bytes, as lengths; ByteLevel spells every byte as one character."""
    return [len(word) for word, _ in Sequence(PRE_TOKENIZERS[name]).pre_tokenize_str(text)]


def check(name, text, lengths):
    pattern = SINGLE.get(name)
    if pattern is None:
        return
    found = [len(m.group().encode()) for m in regex.finditer(pattern, text)]
    if found != lengths:
        sys.exit(f"{name}: tokenizers and regex disagree on {text!r}: {lengths} {found}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--texts", type=int, default=70, help="random texts beside the written ones")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    for text in HAND_WRITTEN + list(random_texts(arguments.texts, arguments.seed)):
        print("text", text.encode().hex())
        for name in PRE_TOKENIZERS:
            lengths = words(name, text)
            assert sum(lengths) == len(text.encode()), (name, text)
            check(name, text, lengths)
            print(name, *lengths)


if __name__ == "__main__":
    main()
