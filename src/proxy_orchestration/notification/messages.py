"""
The catalogue of texts, which hosts can extend, correct or replace. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from functools import lru_cache
from types import MappingProxyType
from typing import Any, Final, Protocol, runtime_checkable

import attrs

from proxy_orchestration.errors import OrchestrationError
from proxy_orchestration.notification.digests import DigestTexts
from proxy_orchestration.notification.labels import label_of, labels_by_code, labels_in_all, plain_line
from proxy_orchestration.notification.languages import LANGUAGES, Language, TextTemplate
from proxy_orchestration.notification.notices import Audience
from proxy_orchestration.notification.tiers import NotificationThresholdTier

_NEXT_BEST: Final[Mapping[str, tuple[str, ...]]] = {
    "nb": ("no", "en"),
    "nn": ("nb", "no", "en"),
    "no": ("nb", "en"),
    "se": ("nb", "no", "en"),
}
"""Whom a reader of a language understands too, best first."""


class MissingMessageFieldError(OrchestrationError, error_code="missing_message_field", repeat_helps=False):
    """
    A text needs a field for which the notice has no value; only this record fails.

    Attributes:
        field: the name of the field.
    """

    def __init__(self, field: str) -> None:
        self.field = field
        super().__init__(
            f"The text needs {{{field}}}, and this notice has no value for it. Complete the record, or "
            "change the text."
        )


@attrs.frozen(kw_only=True)
class NoticeContext:
    """
    What is known about a notice when its text is written.

    Attributes:
        mentor_id: the id of the certificate's holder.
        holder_name: the mentor's name, or empty; personal data.
        certificate_type: the type's code.
        tier: the tier of the notice.
        expires: the last valid day, in the policy's zone.
        days_left: the days from today to that day; 0 on that day, negative after it.
        audience: the reader's relation to the mentor.
        locale: the reader's language, for example `nb-NO`; `None` for the catalogue's own.
        link: the address that a tap opens, or `None`.
    """

    mentor_id: str
    holder_name: str = attrs.field(default="", repr=False)
    certificate_type: str
    tier: NotificationThresholdTier
    expires: date
    days_left: int
    audience: Audience = Audience.MENTOR
    locale: str | None = None
    link: str | None = attrs.field(default=None, repr=False)


@attrs.frozen
class NoticeText:
    """
    The title and body of a notice. They may contain a name, so they are never in a repr or a log.

    Attributes:
        title: one line.
        body: the text.

    Raises:
        TypeError: one of them is not a string.
    """

    title: str = attrs.field(repr=False, validator=attrs.validators.instance_of(str))
    body: str = attrs.field(repr=False, validator=attrs.validators.instance_of(str))


class Messages(Protocol):
    """
    Writes the texts of notices.
    """

    def render(self, notice: NoticeContext, /) -> NoticeText:
        """
        Return the title and body of the notice, synchronously and without I/O.

        If it raises an exception, only this notice's record fails.
        """
        ...


@runtime_checkable
class SupportsDigestTexts(Protocol):
    """
    Has words for digests too; `Messages` may be that.
    """

    def digest_texts(self, locale: str | None = None) -> DigestTexts:
        """
        Return the words of a digest for readers of that locale, at once and without I/O.
        """
        ...


def language_tag(locale: str) -> str:
    """
    Return a language tag in one spelling; `nb_NO.UTF-8` is `nb-no`.
    """
    return locale.partition(".")[0].partition("@")[0].strip().replace("_", "-").casefold()


def _by_tag(languages: Mapping[str, Language]) -> Mapping[str, Language]:
    return MappingProxyType({language_tag(tag): language for tag, language in languages.items()})


def _is_known(instance: MessageCatalogue, _attribute: attrs.Attribute[Any], value: str) -> None:
    if value not in instance.languages:
        msg = (
            f"the default language {value!r} is not one of the catalogue's languages: "
            f"{_tags(instance.languages)}"
        )
        raise ValueError(msg)


def _tags(languages: Mapping[str, Language]) -> str:
    return ", ".join(languages)


@lru_cache(maxsize=512)
def _understood(locale: str) -> tuple[str, ...]:
    """
    Return the tags that a reader understands, the reader's own first.
    """
    tags: list[str] = []
    tag = language_tag(locale)
    while tag:
        tags += (tag, *_NEXT_BEST.get(tag, ()))
        tag = tag.rpartition("-")[0]
    return tuple(tags)


@lru_cache(maxsize=4096)
def _shared(language: Language, label: str, expires: date, days_left: int) -> Mapping[str, object]:
    """
    Return what notices of many mentors have in common, and nothing personal.
    """
    return {
        "label": label,
        "date": language.write_date(expires),
        "when": language.when(days_left),
        "days": abs(days_left),
    }


def _own(notice: NoticeContext, language: Language) -> dict[str, object]:
    name = plain_line(notice.holder_name)
    own: dict[str, object] = {"mentor_id": notice.mentor_id, "holder": name or language.unnamed}
    if name:
        own["holder_name"] = name
    if notice.link is not None:
        own["link"] = notice.link
    return own


@attrs.frozen(kw_only=True, eq=False)
class MessageCatalogue:
    """
    The texts of notices by language, tier and audience.

    Attributes:
        languages: the languages by tag, such as `nb` or `en-gb`.
        default: the tag of the language for readers without one, or with one that is not close to
            any in the catalogue.
        labels: names of certificate types by code; a type without a name is shown by its code.
    """

    languages: Mapping[str, Language] = attrs.field(default=LANGUAGES, converter=_by_tag, repr=_tags)
    default: str = attrs.field(default="nb", converter=language_tag, validator=_is_known)
    labels: Mapping[str, str] = attrs.field(factory=dict, converter=labels_by_code)

    def with_language(self, tag: str, language: Language) -> MessageCatalogue:
        """
        Return a catalogue with this language added, or replaced if the tag exists.
        """
        return attrs.evolve(self, languages={**self.languages, language_tag(tag): language})

    def with_text(
        self, tag: str, tier: NotificationThresholdTier, audience: Audience, text: TextTemplate
    ) -> MessageCatalogue:
        """
        Return a catalogue with one text replaced.

        Raises:
            KeyError: the catalogue has no language with exactly this tag.
        """
        language = self.languages[language_tag(tag)]
        return self.with_language(
            tag, attrs.evolve(language, texts={**language.texts, (tier, audience): text})
        )

    def language_for(self, locale: str | None) -> Language:
        """
        Return the closest language.

        For `nb-NO` that is `nb-NO`, `nb`, `no`, `en` or the default, in this order.
        """
        return self.languages[self.tag_for(locale)]

    def tag_for(self, locale: str | None) -> str:
        """
        Return the tag of the closest language.
        """
        understood = _understood(locale) if locale else ()
        return next((tag for tag in understood if tag in self.languages), self.default)

    def render(self, notice: NoticeContext, /) -> NoticeText:
        """
        Return the title and body of the notice.

        Raises:
            MissingMessageFieldError: the text needs a field for which the notice has no value.
        """
        language = self.language_for(notice.locale)
        label = label_of(notice.certificate_type, language.labels, self.labels)
        text = language.text(notice.tier, notice.audience)
        try:
            fields = {**_shared(language, label, notice.expires, notice.days_left), **_own(notice, language)}
            return NoticeText(text.title.format_map(fields), text.body.format_map(fields))
        except KeyError as error:
            raise MissingMessageFieldError(str(error.args[0])) from error

    def digest_texts(self, locale: str | None = None) -> DigestTexts:
        """
        Return the texts of a digest in the closest language, with names of types, for a dispatcher.
        """
        language = self.language_for(locale)
        return language.digest.with_labels(labels_in_all(language.labels, self.labels))

    def digest(
        self, counts: Mapping[NotificationThresholdTier, int], /, *, locale: str | None = None
    ) -> NoticeText:
        """
        Return the title and body of a digest with these numbers of certificates by tier.
        """
        texts = self.digest_texts(locale)
        return NoticeText(texts.title, texts.body(counts))
