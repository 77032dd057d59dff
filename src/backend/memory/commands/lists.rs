//! Lists.
use bytes::Bytes;

use super::answers::{copies, copy_or_nil, integer, no_such_key, ok, own, refused, syntax};
use super::number::{place, positive, span, whole};
use super::{Command, lengths};
use crate::backend::Raw;
use crate::backend::memory::data::{End, List};
use crate::base::error::Result;

pub fn length(command: &mut Command<'_>) -> Result<Raw> {
    let args = command.args;
    Ok(integer(command.read::<List>(&args[1])?.map_or(0, List::len)))
}

/// The place is looked at only where there is a list, as on the server.
pub fn get(command: &mut Command<'_>) -> Result<Raw> {
    let args = command.args;
    let Some(list) = command.read::<List>(&args[1])? else { return Ok(Raw::Nil) };
    let at = place(whole(&args[2])?, list.len());
    Ok(copy_or_nil(at.and_then(|at| list.get(at))))
}

pub fn range(command: &mut Command<'_>) -> Result<Raw> {
    let args = command.args;
    let (start, end) = (whole(&args[2])?, whole(&args[3])?);
    let Some(list) = command.read::<List>(&args[1])? else { return Ok(Raw::Array(Vec::new())) };
    let (start, end) = span(start, end, list.len());
    Ok(copies(list.range(start, end)))
}

pub fn push(command: &mut Command<'_>, end: End) -> Result<Raw> {
    let args = command.args;
    let pieces = &args[2..];
    let length = command.change_or_create(&args[1], growth(pieces), |list: &mut List| {
        pieces.iter().for_each(|piece| list.push(end, piece));
        list.len()
    })?;
    Ok(integer(length))
}

pub fn push_present(command: &mut Command<'_>, end: End) -> Result<Raw> {
    let args = command.args;
    let pieces = &args[2..];
    let length = command.change(&args[1], growth(pieces), |list: &mut List| {
        pieces.iter().for_each(|piece| list.push(end, piece));
        list.len()
    })?;
    Ok(integer(length.unwrap_or(0)))
}

/// By how much a list grows when it takes these in.
fn growth(pieces: &[Bytes]) -> usize {
    pieces.len() * List::ELEMENT + lengths(pieces)
}

pub fn pop(command: &mut Command<'_>, end: End) -> Result<Raw> {
    let args = command.args;
    if args.len() > 3 {
        return Err(command.arity());
    }
    let wanted = args.get(2).map(|count| positive(count)).transpose()?;
    let Some(length) = command.read::<List>(&args[1])?.map(List::len) else {
        return Ok(Raw::Nil);
    };
    let Some(wanted) = wanted else {
        let piece = command.change(&args[1], 0, |list: &mut List| list.pop(end))?.flatten();
        return Ok(piece.map_or(Raw::Nil, own));
    };
    let pieces = command.change(&args[1], 0, |list: &mut List| {
        (0..wanted.min(length)).filter_map(|_| list.pop(end)).map(own).collect::<Vec<_>>()
    })?;
    Ok(Raw::Array(pieces.unwrap_or_default()))
}

pub fn set(command: &mut Command<'_>) -> Result<Raw> {
    let args = command.args;
    let piece = &args[3];
    let length = command.read::<List>(&args[1])?.map(List::len).ok_or_else(no_such_key)?;
    let at = place(whole(&args[2])?, length).ok_or_else(|| refused("index out of range"))?;
    command.change(&args[1], piece.len(), |list: &mut List| list.set(at, piece))?;
    Ok(ok())
}

pub fn insert(command: &mut Command<'_>) -> Result<Raw> {
    let args = command.args;
    let behind = match args[2].to_ascii_uppercase().as_slice() {
        b"BEFORE" => 0,
        b"AFTER" => 1,
        _ => return Err(syntax()),
    };
    let (pivot, piece) = (&args[3], &args[4]);
    let Some(list) = command.read::<List>(&args[1])? else { return Ok(Raw::Integer(0)) };
    let Some(at) = list.position(pivot) else { return Ok(Raw::Integer(-1)) };
    let grows = List::ELEMENT + piece.len();
    let length = command.change(&args[1], grows, |list: &mut List| {
        list.insert(at + behind, piece);
        list.len()
    })?;
    Ok(integer(length.unwrap_or(0)))
}

/// A positive number counts from the left, a negative one from the right; 0 is all of them.
pub fn remove(command: &mut Command<'_>) -> Result<Raw> {
    let args = command.args;
    let count = whole(&args[2])?;
    let end = if count < 0 { End::Right } else { End::Left };
    let at_most = match count {
        0 => usize::MAX,
        _ => usize::try_from(count.unsigned_abs()).unwrap_or(usize::MAX),
    };
    let gone =
        command.change(&args[1], 0, |list: &mut List| list.remove(end, at_most, &args[3]))?;
    Ok(integer(gone.unwrap_or(0)))
}

pub fn trim(command: &mut Command<'_>) -> Result<Raw> {
    let args = command.args;
    let (start, end) = (whole(&args[2])?, whole(&args[3])?);
    command.change(&args[1], 0, |list: &mut List| {
        let (start, end) = span(start, end, list.len());
        list.keep(start, end);
    })?;
    Ok(ok())
}

pub fn move_piece(command: &mut Command<'_>) -> Result<Raw> {
    let args = command.args;
    let (from, to) = (end(&args[3])?, end(&args[4])?);
    hand_over(command, from, to)
}

pub fn pop_and_push(command: &mut Command<'_>) -> Result<Raw> {
    hand_over(command, End::Right, End::Left)
}

fn end(word: &[u8]) -> Result<End> {
    match word.to_ascii_uppercase().as_slice() {
        b"LEFT" => Ok(End::Left),
        b"RIGHT" => Ok(End::Right),
        _ => Err(syntax()),
    }
}

/// Moves a piece from one end of a list to one of another, or of the same.
fn hand_over(command: &mut Command<'_>, from: End, to: End) -> Result<Raw> {
    let args = command.args;
    let list = command.read::<List>(&args[1])?;
    let piece: Option<Box<[u8]>> = list.and_then(|list| list.peek(from)).map(Box::from);
    let Some(piece) = piece else { return Ok(Raw::Nil) };
    if args[1] == args[2] {
        command.change(&args[1], 0, |list: &mut List| {
            list.pop(from);
            list.push(to, &piece);
        })?;
        return Ok(own(piece));
    }
    // It is put there before it is taken away: the other list may be refused.
    let grows = List::ELEMENT + piece.len();
    command.change_or_create(&args[2], grows, |list: &mut List| list.push(to, &piece))?;
    command.change(&args[1], 0, |list: &mut List| list.pop(from))?;
    Ok(own(piece))
}

#[cfg(test)]
mod tests {
    use crate::backend::memory::commands::bench::Bench;

    #[test]
    fn pieces_come_and_go_at_both_ends() {
        let mut bench = Bench::new();
        for (line, answer) in [
            ("LPUSHX l a", "0"),
            ("LPUSH l b a", "2"),
            ("RPUSH l c d", "4"),
            ("RPUSHX l e", "5"),
            ("LRANGE l 0 -1", "[a b c d e]"),
            ("LRANGE l -2 9", "[d e]"),
            ("LRANGE l 3 1", "[]"),
            ("LPOP l", "a"),
            ("RPOP l 2", "[e d]"),
            ("LPOP l 0", "[]"),
            ("LPOP none", "nil"),
            ("LPOP none 0", "nil"),
            ("LPOP l x", "ERR value is out of range, must be positive"),
            ("LPOP l 1 2", "ERR wrong number of arguments for 'lpop' command"),
            ("LPOP l 9", "[b c]"),
            ("LLEN l", "0"),
        ] {
            assert_eq!(bench.ask(line), answer, "{line}");
        }
    }

    #[test]
    fn places_are_read_written_and_cut() {
        let mut bench = Bench::new();
        for (line, answer) in [
            ("RPUSH l a b a c a", "5"),
            ("LINDEX l -1", "a"),
            ("LINDEX l 5", "nil"),
            ("LINDEX none x", "nil"),
            ("LINDEX l x", "ERR value is not an integer or out of range"),
            ("LSET l 1 B", "OK"),
            ("LSET l 5 x", "ERR index out of range"),
            ("LSET none 0 x", "ERR no such key"),
            ("LINSERT l BEFORE B x", "6"),
            ("LINSERT l after a y", "7"),
            ("LINSERT l AFTER none y", "-1"),
            ("LINSERT none AFTER a y", "0"),
            ("LINSERT l BESIDE a y", "ERR syntax error"),
            ("LRANGE l 0 -1", "[a y x B a c a]"),
            ("LREM l -1 a", "1"),
            ("LREM l 0 a", "2"),
            ("LREM l 1 none", "0"),
            ("LTRIM l 1 -2", "OK"),
            ("LRANGE l 0 -1", "[x B]"),
            ("LTRIM l 5 9", "OK"),
            ("EXISTS l", "0"),
        ] {
            assert_eq!(bench.ask(line), answer, "{line}");
        }
    }

    #[test]
    fn a_piece_moves_between_lists_and_within_one() {
        let mut bench = Bench::new();
        for (line, answer) in [
            ("RPUSH l a b c", "3"),
            ("LMOVE l l LEFT RIGHT", "a"),
            ("LRANGE l 0 -1", "[b c a]"),
            ("RPOPLPUSH l m", "a"),
            ("LMOVE l m left right", "b"),
            ("LRANGE m 0 -1", "[a b]"),
            ("LMOVE none m LEFT LEFT", "nil"),
            ("LMOVE l m UP LEFT", "ERR syntax error"),
            ("RPOPLPUSH l m", "c"),
            ("EXISTS l", "0"),
        ] {
            assert_eq!(bench.ask(line), answer, "{line}");
        }
    }
}
