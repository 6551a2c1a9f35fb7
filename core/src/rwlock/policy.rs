//! Who comes in first: three policies, as pure functions of the word and of who stands in line.
//!
//! | | a newcomer comes in past | those in line |
//! |---|---|---|
//! | [`WriterPriority`] | a writer: those who compete. A reader: readers | a writer is woken before readers; all compete |
//! | [`ReaderPriority`] | a reader: everybody. A writer: writers | readers are handed the lock, all together; writers compete |
//! | [`Fair`] | nobody of the other kind, no writer past anybody | handed over: all readers of now, then a writer |
//!
//! To *compete* is to be woken and then to try like a newcomer. Whoever has lost that too often stands among the
//! losers, who are handed the lock in their order.

use super::state::{
    CLASSES, Given, Kind,
    Kind::{Read, Upgradable, Write},
    LOSERS, READ, State, UPGRADABLE, UPGRADE, WRITE,
};
use crate::wait::Head;

/// Writers first: as soon as one waits, no further reader comes in.
///
/// # Bounds
///
/// - A writer that waits gets in after those who were inside when it began to wait, and after writers; however many
///   readers come meanwhile. (A reader that has lost too often, see below, goes before it.)
/// - A reader waits as long as writers keep coming: under a storm of them it may starve. Take [`Fair`] if that can
///   happen.
/// - Whoever is woken and finds that somebody else was faster stands in line again; after
///   [`PATIENCE`](Self::PATIENCE) such losses it is handed the lock, and until then nobody passes it.
///
/// A task that is inside, an upgradable reader too, and asks to read again waits for itself while a writer waits, or somebody
/// who has lost so often.
#[derive(Clone, Copy, Debug, Default)]
pub struct WriterPriority;

impl WriterPriority {
    /// How often a waiter is woken in vain before it is handed the lock.
    pub const PATIENCE: usize = 4;
}

/// Readers first: they never wait for a writer that waits.
///
/// # Bounds
///
/// - A reader waits for the writer that was inside when it began to wait, and at most for one that has lost so often that it was just
///   being handed the lock then: when nobody of these is inside, all readers that wait are handed the lock at once.
/// - A writer waits until no reader is inside: as long as readers overlap it starves, and that is what the name says.
/// - A writer, or an upgradable reader, that is woken and finds that somebody else was faster stands in line again; after
///   [`PATIENCE`](Self::PATIENCE) such losses no writer and no upgradable reader passes it.
///
/// A task that reads may read again.
#[derive(Clone, Copy, Debug, Default)]
pub struct ReaderPriority;

impl ReaderPriority {
    /// How often a writer is woken in vain before it is handed the lock.
    pub const PATIENCE: usize = 4;
}

/// Phase-fair: readers and writers take turns.
///
/// When a writer leaves, all readers that wait *now* come in together, then the next writer, and so on. Those who come
/// later wait for the next phase of their kind; of a phase that an upgrade has interrupted the rest comes in alone. (Brandenburg and Anderson, "Spin-based reader-writer synchronization for
/// multiprocessor real-time systems", 2010.)
///
/// # Bounds
///
/// - A reader waits for at most one writer that waits before it, after the one that is inside.
/// - A writer waits, for each writer in line before it and for itself, for at most one phase of readers.
///
/// Everybody in line is handed the lock, in order of arrival within its kind; nobody is woken in vain. That costs a
/// switch of context for each writer, so it is slower where many threads fight for the lock.
///
/// A task that reads and asks to read again, while a writer waits, waits for itself.
#[derive(Clone, Copy, Debug, Default)]
pub struct Fair;

/// Who comes in first: [`WriterPriority`], [`ReaderPriority`] or [`Fair`]. Sealed.
#[allow(
    private_bounds,
    reason = "sealed: the rules speak of the word, which is nobody else's business"
)]
pub trait Policy: Copy + Send + Sync + 'static + Rules {
    /// Whether a reader that was refused may try again for a moment before it stands in line: nobody's bounds, its own
    /// included, count on it being there. For those who build blocking calls.
    const READERS_MAY_LINGER: bool;

    /// Whether a writer may.
    const WRITERS_MAY_LINGER: bool;
}

impl Policy for WriterPriority {
    const READERS_MAY_LINGER: bool = true;
    /// It keeps readers out by standing in line.
    const WRITERS_MAY_LINGER: bool = false;
}

impl Policy for ReaderPriority {
    /// What it is handed when a writer leaves is handed to those in line.
    const READERS_MAY_LINGER: bool = false;
    const WRITERS_MAY_LINGER: bool = true;
}

impl Policy for Fair {
    /// A phase is made of those who stand in line.
    const READERS_MAY_LINGER: bool = false;
    const WRITERS_MAY_LINGER: bool = false;
}

/// Who stands in line, as far as a policy wants to know.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub(super) struct Line {
    pub(super) reader: bool,
    /// The oldest reader belongs to a phase that has begun.
    pub(super) in_phase: bool,
    pub(super) writer: bool,
    pub(super) upgradable: bool,
    pub(super) upgrade: bool,
    /// What the first of the losers wants.
    pub(super) loser: Option<Kind>,
}

impl Line {
    pub(super) fn of(heads: &[Option<Head>; CLASSES]) -> Self {
        Self {
            reader: heads[READ].is_some(),
            in_phase: heads[READ].is_some_and(|head| head.in_phase),
            writer: heads[WRITE].is_some(),
            upgradable: heads[UPGRADABLE].is_some(),
            upgrade: heads[UPGRADE].is_some(),
            loser: heads[LOSERS].map(|head| Kind::of(head.ask)),
        }
    }

    /// The line as the word tells it, to whoever does not drain: where it does not tell all, what is served soonest.
    pub(super) fn announced(state: State) -> Self {
        Self {
            reader: state.is_awaited_by(READ),
            // A phase that was interrupted is gone on with by the drainer who interrupted it; or, if an upgrade did and is given
            // up, by who gives it up.
            in_phase: false,
            writer: state.is_awaited_by(WRITE),
            upgradable: state.is_awaited_by(UPGRADABLE),
            upgrade: state.is_awaited_by(UPGRADE),
            loser: state.is_awaited_by(LOSERS).then_some(Read),
        }
    }
}

/// What the drainer does next.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Served {
    /// To the head of which class it gives what; or it only changes the word, and looks again.
    pub(super) given: Option<(usize, Given)>,
    pub(super) next: State,
}

impl Served {
    fn lock(class: usize, kind: Kind, next: State) -> Option<Self> {
        Some(Self { given: Some((class, Given::Lock(kind))), next })
    }

    fn woken(class: usize, kind: Kind, seen: State) -> Option<Self> {
        Some(Self { given: Some((class, Given::Woken(kind))), next: seen.woken(kind) })
    }

    /// The first of the losers, if that is possible already; if not, nobody of those who do not pass it.
    fn loser(kind: Kind, seen: State) -> Option<Self> {
        if seen.admits(kind) { Self::lock(LOSERS, kind, seen.entered(kind)) } else { None }
    }
}

/// A policy: pure functions, which the drainer and those who come and go call.
pub(super) trait Rules {
    /// The word that a writer finds most often.
    const UNCONTENDED: State = State::FREE;
    /// How often a waiter is woken in vain before it stands among the losers.
    const PATIENCE: usize;

    /// May one of `kind` come in, who does not stand in line? Then the word says so.
    fn enter(seen: State, kind: Kind) -> Option<State>;

    /// Who in line is served now, while nobody writes?
    fn serve_unwritten(seen: State, line: Line) -> Option<Served>;

    /// Notes that one of `kind` came in.
    fn turn(entered: State, _kind: Kind) -> State {
        entered
    }

    /// Who in line is served now?
    fn serve(seen: State, line: Line) -> Option<Served> {
        if !seen.is_written() {
            return Self::serve_unwritten(seen, line);
        }
        // The writer has come in by an upgrade, and the last reader has left.
        (line.upgrade && seen.readers() == 0).then(|| Served {
            given: Some((UPGRADE, Given::Upgraded)),
            next: Self::turn(seen, Write),
        })
    }

    /// Somebody left, and the word says `after`: would a drainer find something to do, or does one drain who may have
    /// looked before that? Bits of waiters who are gone stay set until the drainer leaves, so while he is there the
    /// word does not tell.
    fn needs_kick(after: State) -> bool {
        after.is_awaited()
            && (after.word().is_draining() || Self::serve(after, Line::announced(after)).is_some())
    }
}

impl Rules for WriterPriority {
    const PATIENCE: usize = Self::PATIENCE;

    fn enter(seen: State, kind: Kind) -> Option<State> {
        let held_back = seen.is_awaited_by(LOSERS)
            || kind != Write && (seen.is_awaited_by(WRITE) || seen.is_woken(Write));
        (!held_back && seen.admits(kind)).then(|| seen.entered(kind))
    }

    fn serve_unwritten(seen: State, line: Line) -> Option<Served> {
        if let Some(kind) = line.loser {
            Served::loser(kind, seen)
        } else if seen.is_woken(Write) {
            // It decides, and then we are asked again.
            None
        } else if line.writer {
            if seen.is_free() { Served::woken(WRITE, Write, seen) } else { None }
        } else if line.reader && seen.admits(Read) {
            Served::woken(READ, Read, seen)
        } else if line.upgradable && seen.admits(Upgradable) && !seen.is_woken(Upgradable) {
            Served::woken(UPGRADABLE, Upgradable, seen)
        } else {
            None
        }
    }
}

impl Rules for ReaderPriority {
    const PATIENCE: usize = Self::PATIENCE;

    fn enter(seen: State, kind: Kind) -> Option<State> {
        let held_back = match kind {
            Read => false,
            Upgradable => seen.is_awaited_by(LOSERS),
            Write => seen.is_awaited_by(LOSERS) || seen.is_awaited_by(READ),
        };
        (!held_back && seen.admits(kind)).then(|| seen.entered(kind))
    }

    fn serve_unwritten(seen: State, line: Line) -> Option<Served> {
        if line.reader && seen.admits(Read) {
            Served::lock(READ, Read, seen.entered(Read))
        } else if let Some(kind) = line.loser {
            Served::loser(kind, seen)
        } else if line.upgradable && seen.admits(Upgradable) && !seen.is_woken(Upgradable) {
            Served::woken(UPGRADABLE, Upgradable, seen)
        } else if line.writer && seen.is_free() && !seen.is_woken(Write) {
            Served::woken(WRITE, Write, seen)
        } else {
            None
        }
    }
}

impl Rules for Fair {
    const UNCONTENDED: State = State::FREE.with_readers_turn(true);
    /// Nobody is woken in vain.
    const PATIENCE: usize = usize::MAX;

    fn enter(seen: State, kind: Kind) -> Option<State> {
        let held_back = match kind {
            Read => seen.is_awaited_by(WRITE),
            Upgradable => seen.is_awaited_by(WRITE) || seen.is_awaited_by(UPGRADABLE),
            Write => seen.is_awaited(),
        };
        (!held_back && seen.admits(kind)).then(|| Self::turn(seen.entered(kind), kind))
    }

    fn serve_unwritten(seen: State, line: Line) -> Option<Served> {
        let readers_turn = seen.is_readers_turn() || !line.writer;
        if line.upgradable && readers_turn && seen.admits(Upgradable) {
            // One of the phase; the turn ends with the readers of it, if there are any.
            let turn = seen.is_readers_turn() && line.reader;
            let next = seen.entered(Upgradable).with_readers_turn(turn);
            Served::lock(UPGRADABLE, Upgradable, next)
        } else if line.reader && (readers_turn || line.in_phase) && seen.admits(Read) {
            Served::lock(READ, Read, Self::turn(seen.entered(Read), Read))
        } else if !line.writer {
            None
        } else if seen.is_free() {
            Served::lock(WRITE, Write, Self::turn(seen.entered(Write), Write))
        } else if seen.is_readers_turn() {
            // A writer has become a reader, and no other reader waited: the phase is that one's. Those who come
            // now do not pass the writer that waits.
            Some(Served { given: None, next: seen.with_readers_turn(false) })
        } else {
            None
        }
    }

    fn turn(entered: State, kind: Kind) -> State {
        entered.with_readers_turn(kind == Write)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wait::Word;

    fn free() -> State {
        State::FREE
    }

    fn line(classes: &[usize]) -> Line {
        let waits = |class| classes.contains(&class);
        Line {
            reader: waits(READ),
            in_phase: false,
            writer: waits(WRITE),
            upgradable: waits(UPGRADABLE),
            upgrade: waits(UPGRADE),
            loser: waits(LOSERS).then_some(Write),
        }
    }

    fn awaited(state: State, classes: &[usize]) -> State {
        classes.iter().fold(state, |state, &class| State(Word(state.0).with_waiter(class).0))
    }

    fn served<P: Rules>(seen: State, classes: &[usize]) -> Option<(usize, Given)> {
        P::serve(seen, line(classes)).and_then(|served| served.given)
    }

    /// Who comes in past whom, by the bits of those who wait.
    #[test]
    fn the_table_of_newcomers() {
        #[rustfmt::skip]
        let table: [(&[usize], [&str; 3]); 6] = [
            // those in line            under writer priority, reader priority, fair: who may come into a free lock
            (&[],                       ["RWU", "RWU", "RWU"]),
            (&[READ],                   ["RWU", "RU", "RU"]),
            (&[WRITE],                  ["W", "RWU", ""]),
            (&[UPGRADABLE],             ["RWU", "RWU", "R"]),
            (&[READ, WRITE],            ["W", "RU", ""]),
            (&[LOSERS],                 ["", "R", "RU"]),
        ];
        fn come_in<P: Rules>(seen: State) -> std::string::String {
            let kinds = [(Read, 'R'), (Write, 'W'), (Upgradable, 'U')];
            kinds.into_iter().filter(|it| P::enter(seen, it.0).is_some()).map(|it| it.1).collect()
        }
        for (classes, expected) in table {
            let seen = awaited(free(), classes);
            let found = [
                come_in::<WriterPriority>(seen),
                come_in::<ReaderPriority>(seen),
                come_in::<Fair>(seen),
            ];
            assert_eq!(found, expected, "{classes:?} in line");
            // Nobody comes in past a writer who is inside, whoever waits.
            let written = seen.entered(Write);
            assert_eq!(come_in::<WriterPriority>(written), "");
            assert_eq!(come_in::<ReaderPriority>(written), "");
            assert_eq!(come_in::<Fair>(written), "");
        }
        // A writer that was woken keeps readers out as one that waits.
        assert_eq!(come_in::<WriterPriority>(free().woken(Write)), "W");
        assert_eq!(come_in::<ReaderPriority>(free().woken(Write)), "RWU");
    }

    /// Whose turn it is, in every state in which it matters.
    #[test]
    fn the_table_of_who_is_served() {
        let all = [READ, WRITE, UPGRADABLE];
        let reader = free().entered(Read);
        let upgradable = free().entered(Upgradable);
        let turn = |state: State| state.with_readers_turn(true);
        let lock = |class, kind| Some((class, Given::Lock(kind)));
        let woken = |class, kind| Some((class, Given::Woken(kind)));

        assert_eq!(served::<WriterPriority>(free(), &all), woken(WRITE, Write));
        assert_eq!(served::<WriterPriority>(reader, &all), None);
        assert_eq!(served::<WriterPriority>(free().woken(Write), &all), None);
        assert_eq!(served::<WriterPriority>(free(), &[READ, UPGRADABLE]), woken(READ, Read));
        assert_eq!(served::<WriterPriority>(reader, &[UPGRADABLE]), woken(UPGRADABLE, Upgradable));
        assert_eq!(served::<WriterPriority>(reader.woken(Upgradable), &[UPGRADABLE]), None);
        assert_eq!(served::<WriterPriority>(free(), &[READ, WRITE, LOSERS]), lock(LOSERS, Write));
        assert_eq!(served::<WriterPriority>(reader, &[READ, LOSERS]), None);

        assert_eq!(served::<ReaderPriority>(free(), &all), lock(READ, Read));
        assert_eq!(served::<ReaderPriority>(reader, &[READ, LOSERS]), lock(READ, Read));
        assert_eq!(served::<ReaderPriority>(free(), &[WRITE]), woken(WRITE, Write));
        assert_eq!(served::<ReaderPriority>(free(), &[WRITE, LOSERS]), lock(LOSERS, Write));
        assert_eq!(served::<ReaderPriority>(free().woken(Write), &[WRITE]), None);
        assert_eq!(served::<ReaderPriority>(upgradable, &[WRITE, UPGRADABLE]), None);

        assert_eq!(served::<Fair>(turn(free()), &all), lock(UPGRADABLE, Upgradable));
        assert_eq!(served::<Fair>(turn(upgradable), &all), lock(READ, Read));
        assert_eq!(served::<Fair>(free(), &all), lock(WRITE, Write));
        assert_eq!(served::<Fair>(turn(free()), &[WRITE]), lock(WRITE, Write));
        assert_eq!(served::<Fair>(reader, &[READ, WRITE]), None);
        assert_eq!(served::<Fair>(reader, &[READ]), lock(READ, Read));
        let phase = Line { in_phase: true, ..line(&[READ, WRITE]) };
        let next = Fair::serve(reader, phase).unwrap();
        assert_eq!(next.given, lock(READ, Read));
        // The turn ends with the first reader of the phase, and with a phase of nobody.
        assert!(!Fair::serve(turn(free()), line(&[READ, WRITE])).unwrap().next.is_readers_turn());
        let forgotten = Fair::serve(turn(reader), line(&[WRITE])).unwrap();
        assert_eq!((forgotten.given, forgotten.next), (None, reader));

        // While a writer is inside: nobody but the upgrade, and that when the last reader has left.
        let upgrading = reader.entered(Write);
        for classes in [&all[..], &[READ, LOSERS], &[UPGRADE, READ, WRITE]] {
            assert_eq!(served::<WriterPriority>(upgrading, classes), None);
            assert_eq!(served::<ReaderPriority>(upgrading, classes), None);
            assert_eq!(served::<Fair>(upgrading, classes), None);
        }
        let alone = upgrading.left(Read);
        let upgraded = Some((UPGRADE, Given::Upgraded));
        assert_eq!(served::<WriterPriority>(alone, &[UPGRADE, WRITE]), upgraded);
        assert_eq!(served::<ReaderPriority>(alone, &[UPGRADE, READ]), upgraded);
        assert_eq!(served::<Fair>(alone, &[UPGRADE, READ]), upgraded);
    }

    /// In every state: whoever is served could come in, and who leaves kicks exactly if the drainer has something to do.
    #[test]
    fn nobody_is_served_who_has_no_room_and_nobody_is_forgotten() {
        fn check<P: Rules>() {
            let inside = [
                free(),
                free().entered(Read),
                free().entered(Upgradable),
                free().entered(Read).entered(Upgradable),
                free().entered(Write),
                free().entered(Write).entered(Read),
            ];
            for inside in inside {
                for flags in 0..8 {
                    let mut state = inside.with_readers_turn(flags & 1 != 0);
                    state = if flags & 2 != 0 { state.woken(Write) } else { state };
                    state = if flags & 4 != 0 { state.woken(Upgradable) } else { state };
                    for set in 0..1 << CLASSES {
                        let classes: std::vec::Vec<_> =
                            (0..CLASSES).filter(|class| set & (1 << class) != 0).collect();
                        let word = awaited(state, &classes);
                        let to_do = P::serve(word, Line::announced(word));
                        assert_eq!(P::needs_kick(word), to_do.is_some(), "{word:?}");
                        let draining = State(Word(word.0).kicked().0.0);
                        assert_eq!(P::needs_kick(draining), word.is_awaited(), "{word:?}");
                        match to_do.and_then(|served| served.given) {
                            Some((class, Given::Lock(kind) | Given::Woken(kind))) => {
                                assert!(word.admits(kind), "{word:?}: {kind:?}");
                                assert!(classes.contains(&class));
                            }
                            Some((_, Given::Upgraded)) => assert_eq!(word.readers(), 0),
                            None => {}
                        }
                        // Nobody inside, nobody on his way: somebody is served.
                        let idle = inside == free() && flags & 6 == 0;
                        let served =
                            Line::announced(word) != Line::default() && set != 1 << UPGRADE;
                        if idle && served && !(P::PATIENCE == usize::MAX && set >> LOSERS != 0) {
                            assert!(to_do.is_some(), "{word:?}: {classes:?} are forgotten");
                        }
                    }
                }
            }
        }
        check::<WriterPriority>();
        check::<ReaderPriority>();
        check::<Fair>();
    }

    extern crate std;
}
