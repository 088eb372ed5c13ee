"""
Decoded activities are shared while a run needs them, and do not pile up.
"""

from datetime import date

from proxy_orchestration import ProxyActivity
from proxy_orchestration.registration import activities
from proxy_orchestration.registration.activities import decode_activity, encode_activity


def text_of(notes):
    """
    Return an activity as it is stored.
    """
    return encode_activity(
        ProxyActivity(activity_type="visit", activity_date=date(2026, 1, 1), duration_minutes=45, notes=notes)
    )


def kept():
    """
    Return how many characters of texts are kept.
    """
    return sum(map(len, activities._decoded._kept))


def test_equal_texts_share_one_object():
    """
    A batch's one activity is decoded once, not once for each mentor.
    """
    activities.forget_decoded_activities()

    assert decode_activity(text_of("a")) is decode_activity(text_of("a"))


def test_what_is_kept_is_bounded_by_what_it_holds():
    """
    Thousands of long notes are not kept, nor is a very long one.
    """
    activities.forget_decoded_activities()
    for number in range(300):
        decode_activity(text_of(f"{number}" + "x" * 9_000))
        assert kept() <= activities._MOST_KEPT
    before = kept()

    decode_activity(text_of("y" * 60_000))

    assert before == kept()


async def test_nothing_is_kept_when_the_run_has_ended(scene):
    """
    Notes are personal data, and need not outlive what they were needed for.
    """
    decode_activity(text_of("personal"))

    await scene.orchestrator().submit_bulk_registration(scene.request(2), actor=scene.actor)

    assert 0 == kept()
