//! Which of the auto traits every public type has, guards and futures and errors included, and which it has not.
//!
//! `Send` and `Sync` are asked for four payloads: one that is both (`u8`), one that may only be sent (`Cell`), one that
//! may only be shared (a guard of a mutex), and one that is neither (`Rc`). A row reads
//!
//! ```text
//! T => ArrayQueue<T>, ["SS" "SS" "--" "--"], "U-R";
//! ```
//!
//! `S` and `S`: `Send` and `Sync`, in the order of the payloads; then `U`, `W`, `R`: `Unpin`, `UnwindSafe`, `RefUnwindSafe`,
//! with `u8`. What a guard may not outlive is said by doctests that must not compile, beside the guards.
#![cfg(not(any(aqueduct_loom, aqueduct_interrupt)))]

mod complete;
mod core_types;
mod std_types;

use std::cell::Cell;
use std::rc::Rc;
use std::sync::MutexGuard;

type Both = u8;
type SendOnly = Cell<u8>;
type SyncOnly = MutexGuard<'static, u8>;
type Neither = Rc<u8>;

/// Whether a type has a trait: an inherent constant comes before one of a trait's, where its bound holds.
macro_rules! has {
    ($type:ty: $trait:path) => {{
        #[allow(dead_code)]
        struct Probe<T: ?Sized>(core::marker::PhantomData<T>);
        #[allow(dead_code)]
        trait Otherwise {
            const HAS: bool = false;
        }
        impl<T: ?Sized> Otherwise for Probe<T> {}
        #[allow(dead_code)]
        impl<T: ?Sized + $trait> Probe<T> {
            const HAS: bool = true;
        }
        const { <Probe<$type>>::HAS }
    }};
}
use has;

fn letters(letters: &str, has: &[bool]) -> String {
    letters.chars().zip(has).map(|(letter, &has)| if has { letter } else { '-' }).collect()
}

/// The rows that are not as they should be, for a message that shows them all.
#[derive(Default)]
struct Table {
    rows: usize,
    wrong: Vec<String>,
}

impl Table {
    fn row(&mut self, what: &str, has: String, expected: &str) {
        self.rows += 1;
        if has != expected {
            self.wrong.push(format!("{what}: is {has}, should be {expected}"));
        }
    }

    #[track_caller]
    fn judge(&self) {
        assert!(self.rows > 0);
        assert!(self.wrong.is_empty(), "of {} rows:\n{}", self.rows, self.wrong.join("\n"));
    }
}

macro_rules! send_sync {
    ($table:ident, $type:ty, $payload:literal, $expected:literal) => {
        let has = [has!($type: Send), has!($type: Sync)];
        let what = concat!(stringify!($type), $payload, " Send, Sync");
        $table.row(what, $crate::letters("SS", &has), $expected);
    };
}
use send_sync;

macro_rules! others {
    ($table:ident, $type:ty, $expected:literal) => {
        let has = [
            has!($type: Unpin),
            has!($type: std::panic::UnwindSafe),
            has!($type: std::panic::RefUnwindSafe),
        ];
        let what = concat!(stringify!($type), " Unpin, UnwindSafe, RefUnwindSafe");
        $table.row(what, $crate::letters("UWR", &has), $expected);
    };
}
use others;

/// Types without a payload: `Type, "SS", "UWR";`
macro_rules! plain {
    ($($type:ty, $send_sync:literal, $others:literal;)*) => {{
        let mut table = $crate::Table::default();
        $(
            send_sync!(table, $type, "", $send_sync);
            others!(table, $type, $others);
        )*
        table.judge();
    }};
}
use plain;

/// Types with a payload: see the top.
macro_rules! generic {
    ($($T:ident => $type:ty, [$both:literal $send:literal $sync:literal $neither:literal], $others:literal;)*) => {{
        let mut table = $crate::Table::default();
        $({
            {
                type $T = $crate::Both;
                send_sync!(table, $type, " of u8", $both);
                others!(table, $type, $others);
            }
            {
                type $T = $crate::SendOnly;
                send_sync!(table, $type, " of Cell", $send);
            }
            {
                type $T = $crate::SyncOnly;
                send_sync!(table, $type, " of MutexGuard", $sync);
            }
            {
                type $T = $crate::Neither;
                send_sync!(table, $type, " of Rc", $neither);
            }
        })*
        table.judge();
    }};
}
use generic;

#[test]
fn the_table_can_tell_yes_from_no() {
    generic! {
        T => T, ["SS" "S-" "-S" "--"], "UWR";
        T => Cell<T>, ["S-" "S-" "--" "--"], "UW-";
        T => std::sync::Mutex<T>, ["SS" "SS" "--" "--"], "UWR";
        T => std::sync::Arc<T>, ["SS" "--" "--" "--"], "UWR";
        T => &'static mut T, ["SS" "S-" "-S" "--"], "U-R";
    }
    plain! { std::marker::PhantomPinned, "SS", "-WR"; }
    let mut table = Table::default();
    send_sync!(table, Rc<u8>, "", "S-");
    assert_eq!(table.wrong, ["Rc<u8> Send, Sync: is --, should be S-"]);
}
