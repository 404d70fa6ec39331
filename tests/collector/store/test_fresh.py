from kibitz_collector.store.fresh import FreshTexts


def test_texts_follow_the_progress_without_a_gap():
    fresh = FreshTexts()
    fresh.add([(1, "a"), (2, "b"), (4, "d")])
    assert fresh.after(0, 10) == [(1, "a"), (2, "b")]
    assert fresh.after(0, 1) == [(1, "a")]
    assert fresh.after(2, 10) == []  # 3 is to be read from the database
    assert fresh.after(3, 10) == [(4, "d")]


def test_what_finds_no_room_is_left_out():
    fresh = FreshTexts(max_bytes=400)
    fresh.add([(1, "a"), (2, "b"), (3, "c")])
    assert fresh.after(0, 10) == [(1, "a"), (2, "b")]
    fresh.after(2, 10)
    fresh.add([(3, "c")])
    assert fresh.after(2, 10) == [(3, "c")]


def test_without_room_nothing_is_wanted():
    assert not FreshTexts(0).is_wanted
    assert FreshTexts().is_wanted
