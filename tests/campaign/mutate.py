# SPDX-License-Identifier: Apache-2.0
"""Mutants of conditions in C, all in one copy of a source: a number chosen at run time picks one.

    if-true, if-false    the condition of an if; loop-never, that of a while or for
    edge                 < becomes <=, <= becomes <, the same for > and >=
    equal                == becomes !=, and the other way round
    junction             && becomes ||, and the other way round

Each becomes an expression that asks mutant(n) only where its answer makes a difference, if that
can be seen in passing; so a program that never asks cannot notice the mutant. Asserts have none:
they are there to be true. The source is taken apart into words, not parsed: it is formatted, and
functions begin and end with a brace at the start of a line.
"""
import dataclasses
import hashlib
import re

WORD = re.compile(r"""
    (?P<skip>\s+|//[^\n]*|/\*.*?\*/|^[ \t]*\#(?:[^\n\\]|\\.)*)
  | (?P<text>"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*')
  | (?P<name>[A-Za-z_]\w*|\d[\w.]*)
  | (?P<mark><<=|>>=|\.\.\.|->|\+\+|--|<<|>>|<=|>=|==|!=|&&|\|\||[-+*/%&|^]=|.)
""", re.VERBOSE | re.DOTALL | re.MULTILINE)
STRENGTH = {"*": 10, "/": 10, "%": 10, "+": 9, "-": 9, "<<": 8, ">>": 8, "<": 7, "<=": 7, ">": 7,
            ">=": 7, "==": 6, "!=": 6, "&": 5, "^": 4, "|": 3, "&&": 2, "||": 1}
BOUNDS = {"?", ":", ",", ";", "{", "}", "=", "return", "else", "do", "case",
          "+=", "-=", "*=", "/=", "%=", "&=", "|=", "^=", "<<=", ">>="}
OPEN, CLOSE = {"(": ")", "[": "]"}, {")": "(", "]": "["}
EDGE = {"<": ("<", ""), "<=": ("<", "!"), ">": (">", ""), ">=": (">", "!")}
CONSTANT = re.compile(r"[A-Z][A-Z0-9_]*$")


@dataclasses.dataclass
class Word:
    text: str
    at: int
    mate: int = -1  # of a bracket: the index of the other one

    @property
    def end(self):
        return self.at + len(self.text)


@dataclasses.dataclass
class Mutant:
    file: str
    line: int
    column: int
    function: str
    kind: str
    text: str  # the condition as it is written, in one line
    at: int
    end: int
    mark: Word = None  # the operator, where there is one
    nth: int = 0  # of those alike in the function

    @property
    def name(self):
        """Where it is, for people and for replay."""
        return f"{self.file}:{self.line}:{self.column}:{self.kind}"

    @property
    def identity(self):
        """What stays when other lines come and go."""
        return "\t".join((self.file, self.function, self.kind, str(self.nth), self.text))

    @property
    def turn(self):
        return hashlib.sha256(self.identity.encode()).hexdigest()


def words_of(source):
    words, open_ones = [], []
    for found in WORD.finditer(source):
        if found.lastgroup == "skip":
            continue
        word = Word(found[0], found.start())
        if word.text in OPEN:
            open_ones.append(len(words))
        elif word.text in CLOSE:
            word.mate = open_ones.pop()
            words[word.mate].mate = len(words)
        words.append(word)
    return words


def is_operand_end(words, at):
    """Whether what stands there may be the left side of a binary operator."""
    word = words[at].text
    if word == ")":
        inside = words[words[at].mate + 1:at]
        return not (inside and inside[-1].text == "*")  # a cast to a pointer
    return word == "]" or word in ("++", "--") or (
        (word[0].isalnum() or word[0] in "_\"'") and word not in BOUNDS)


def strength(words, at):
    """Of a binary operator; none for all else."""
    text = words[at].text
    if text in STRENGTH and is_operand_end(words, at - 1):
        return STRENGTH[text]
    return None


def left_of(words, at, own):
    while True:
        text = words[at - 1].text
        if text in OPEN or text in BOUNDS:
            return at
        if text in CLOSE:
            at = words[at - 1].mate
            continue
        other = strength(words, at - 1)
        if other is not None and other < own:
            return at
        at -= 1


def right_of(words, at, own):
    while True:
        text = words[at + 1].text
        if text in CLOSE or text in BOUNDS:
            return at
        if text in OPEN:
            at = words[at + 1].mate
            continue
        other = strength(words, at + 1)
        if other is not None and other <= own:
            return at
        at += 1


class Source:
    def __init__(self, file, text):
        self.file, self.text, self.words = file, text, words_of(text)
        self.functions = [(m.start(2), m.end(2), m[1]) for m in re.finditer(
            r"^\w[^;{}]*?(\w+)\([^;{}]*?\)\n(\{\n.*?^\}$)", text, re.MULTILINE | re.DOTALL)]
        self.asserts = [(w.at, self.words[self.words[i + 1].mate].end)
                        for i, w in enumerate(self.words)
                        if w.text in ("base_assert", "_Static_assert")]

    def function_at(self, at):
        return next((name for first, end, name in self.functions if first <= at < end), None)

    def make(self, first, last, kind, mark=None):
        at, end = self.words[first].at, self.words[last].end
        shown = self.words[mark] if mark is not None else self.words[first]
        before = self.text[:shown.at]
        return Mutant(self.file, before.count("\n") + 1, shown.at - before.rfind("\n"),
                      self.function_at(at), kind, " ".join(self.text[at:end].split()), at, end,
                      self.words[mark] if mark is not None else None)

    def conditions(self, i):
        """First and last word of the condition that belongs to this word, and how it may fail."""
        word = self.words[i].text
        if word not in ("if", "while", "for"):
            return
        first, last = i + 2, self.words[i + 1].mate - 1
        if word == "for":
            parts = [j for j in range(first, last + 1) if self.words[j].text == ";"]
            first, last = parts[0] + 1, parts[1] - 1
        if first > last or (first == last and CONSTANT.match(self.words[first].text)):
            return
        for kind in ("if-true", "if-false") if word == "if" else ("loop-never",):
            yield self.make(first, last, kind)

    def operators(self, i):
        text = self.words[i].text
        kind = ("edge" if text in EDGE else "equal" if text in ("==", "!=") else
                "junction" if text in ("&&", "||") else None)
        if kind is not None:
            own = STRENGTH[text]
            yield self.make(left_of(self.words, i, own), right_of(self.words, i, own), kind, i)

    def mutants(self):
        found, alike = [], {}
        for i, word in enumerate(self.words):
            if self.function_at(word.at) is None or any(
                    first <= word.at < end for first, end in self.asserts):
                continue
            found += [*self.conditions(i), *self.operators(i)]
        for one in found:
            key = one.function, one.kind, one.text
            one.nth = alike[key] = alike.get(key, 0) + 1
        return found


def parts_of(one, n):
    """What is put before it, in place of its operator, and behind it."""
    if one.kind == "if-true":
        return "((", "", f") || mutant({n}))"
    if one.kind in ("if-false", "loop-never"):
        return "((", "", f") && !mutant({n}))"
    if one.kind == "equal":
        return "((", one.mark.text, f") != mutant({n}))"
    if one.kind == "edge":
        strict, negated = EDGE[one.mark.text]
        return (f"({{ __auto_type l_{n} = (", f"); __auto_type r_{n} = (",
                f"); l_{n} {strict} r_{n} || (l_{n} == r_{n} && {negated}mutant({n})); }})")
    compared = "!=" if one.mark.text == "&&" else "=="
    return (f"({{ int l_{n} = !!(", f"); l_{n} {compared} mutant({n}) ? !!(", f") : l_{n}; }})")


def instrument(text, chosen):
    """The source with these mutants in it, a list of (number, mutant) of this file."""
    puts = []
    for n, one in chosen:
        before, middle, behind = parts_of(one, n)
        puts.append(((one.at, 1, -one.end, n), one.at, one.at, before))
        puts.append(((one.end, 0, -one.at, -n), one.end, one.end, behind))
        if one.mark:
            puts.append(((one.mark.at, 2, 0, 0), one.mark.at, one.mark.end, middle))
    out, at = ['#include "base/mutant.h"\n#line 1\n'], 0
    for _, first, end, put in sorted(puts, key=lambda p: p[0]):
        out += [text[at:first], put]
        at = end
    return "".join(out) + text[at:]
