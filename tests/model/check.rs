//! What must hold in every world, said without the protocol's own words: only calls, answers and what
//! the server holds in the end.
use super::world::{CallId, Called, Kind, Mode, World};

pub const NOTHING_IS_LOST: &str = "no acknowledged write is lost";
pub const NOTHING_RETURNS: &str = "nothing that was deleted or replaced returns";
pub const NOBODY_WAITS_FOR_EVER: &str = "what waits has something on its way to it";
pub const OWN_WRITES_ARE_SEEN: &str = "a process sees its own writes";

/// Whether the first call was answered before the second was made.
fn before(first: CallId, second: &Called) -> bool {
    second.after & (1 << first) != 0
}

/// Whether a write was acknowledged and no stated loss touches it: neither its own nor that of a write
/// that may have replaced it.
fn holds(world: &World, write: &Called, number: CallId) -> bool {
    let mut others = world.calls.iter().zip(0..);
    let undone = others.any(|(other, at)| at != number && other.excused && !before(at, write));
    write.kind != Kind::Get && write.answered && !write.excused && !undone
}

/// The acknowledged writes that came after this call, and hold.
fn later(world: &World, call: CallId) -> impl Iterator<Item = &Called> {
    let writes = world.calls.iter().zip(0..);
    writes
        .filter(move |(other, number)| before(call, other) && holds(world, other, *number))
        .map(|(other, _)| other)
}

/// The value in the end was not replaced by a later write.
pub fn nothing_is_lost(world: &World) -> bool {
    if !world.is_settled() {
        return true;
    }
    match world.server.stored.value {
        Some(entry) => {
            later(world, entry.call).all(|other| other.kind == Kind::Delete || other.expired)
        }
        // Something must explain that nothing is there: a write that nothing acknowledged came after,
        // and that was no plain set.
        None => {
            let sets = world.calls.iter().any(|call| call.kind == Kind::Set && call.answered);
            !sets || explained_absence(world)
        }
    }
}

fn explained_absence(world: &World) -> bool {
    let mut last =
        world.calls.iter().zip(0..).filter(|(call, number)| {
            call.kind != Kind::Get && later(world, *number).next().is_none()
        });
    last.any(|(call, _)| {
        call.kind == Kind::Delete || call.expired || call.excused || !call.answered
    })
}

/// The value in the end was neither deleted nor covered by one that expired.
pub fn nothing_returns(world: &World) -> bool {
    match world.server.stored.value {
        Some(entry) if world.is_settled() => {
            later(world, entry.call).all(|other| other.kind == Kind::Set && !other.expired)
        }
        _ => true,
    }
}

/// A read answers nothing older than what its own process was told is done.
pub fn own_writes_are_seen(world: &World) -> bool {
    world.met_a_limit
        || world.calls.iter().all(|read| match read.read {
            Some(found) => world.calls.iter().zip(0..).all(|(own, number)| {
                let counts = own.process == read.process
                    && before(number, read)
                    && holds(world, own, number);
                !counts || is_seen(world, own, number, found)
            }),
            None => true,
        })
}

fn is_seen(world: &World, own: &Called, number: CallId, found: Option<CallId>) -> bool {
    match found {
        Some(value) => value == number || !before(value, own),
        None => {
            let removed_since = world.calls.iter().zip(0..).any(|(other, at)| {
                (other.kind == Kind::Delete || other.expired || other.excused) && !before(at, own)
            });
            own.kind == Kind::Delete || own.expired || removed_since
        }
    }
}

/// Whoever waits for an answer waits on a link that is open, and that has bytes on their way.
pub fn nobody_waits_for_ever(world: &World) -> bool {
    world.processes.iter().zip(0..).all(|(process, number)| {
        let link = &world.links[&(number, process.link)];
        let moves = link.open && !(link.to_server.is_empty() && link.to_process.is_empty());
        moves
            || (process.waiting.is_none()
                && process.replaying.is_none()
                && process.mode != Mode::Returning)
    })
}
