//! What removes: deletes, values made stale, invalidations of tags and of whole scopes. They are never dropped.
use std::collections::HashMap;

use bytes::Bytes;

use super::super::durable::Record;
use super::{INVALIDATION, Invalidation, Journal, expired_at, tagged};
use crate::backend::intent::{Intent, Wish};
use crate::backend::scopes::Scopes;
use crate::backend::{Removal, Scope};
use crate::base::keys::Keys;
use crate::base::stamp::Stamp;

impl Journal {
    /// Takes a delete; always.
    pub fn delete(&mut self, key: Bytes, stamp: Stamp, keys: &Keys) {
        self.remove(Intent { key, stamp, wish: Wish::Delete }, keys);
    }

    /// Takes it that a key's value is stale; always. A set that waits there is stale when it is written.
    pub fn expire(&mut self, key: Bytes, stamp: Stamp, keys: &Keys) {
        if self.sets.contains(&key) {
            return self.expire_waiting(&key, stamp);
        }
        let wish = match self.peek(&key).map(|waiting| &waiting.wish) {
            // There is nothing that could be stale.
            Some(Wish::Delete) => Wish::Delete,
            _ => Wish::Expire,
        };
        self.remove(Intent { key, stamp, wish }, keys);
    }

    pub(super) fn expire_waiting(&mut self, key: &[u8], stamp: Stamp) {
        if let Some(Intent { wish: Wish::Set { expired, .. }, .. }) = self.sets.peek_mut(key) {
            let newest = expired.as_deref().copied().max(Some(stamp));
            *expired = newest.map(Box::new);
        }
        if let (Some(log), Some(waiting)) = (&self.log, self.sets.peek(key)) {
            log.write(&Record::Intent(waiting));
        }
    }

    /// A set that was away while its key was made stale: both are one intent again.
    pub(super) fn expired_meanwhile(&mut self, mut intent: Intent) -> Intent {
        let later = self.deletes.peek(&intent.key);
        let later = later.filter(|later| later.wish == Wish::Expire && later.stamp >= intent.stamp);
        if let (Wish::Set { expired, .. }, Some(later)) = (&mut intent.wish, later) {
            let newest = expired.as_deref().copied().max(Some(later.stamp));
            *expired = newest.map(Box::new);
            self.forget(&intent.key);
        }
        intent
    }

    /// A set is settled by something newer. That its key was made stale may be newer still, and stays.
    pub(super) fn settle_set(&mut self, key: &Bytes, is_over: &dyn Fn(bool, Stamp) -> bool) {
        let Some(set) = self.sets.peek(key) else { return };
        let left = expired_at(set).filter(|&expired| !is_over(tagged(set), expired));
        self.forget(key);
        if let Some(stamp) = left {
            let intent = Intent { key: key.clone(), stamp, wish: Wish::Expire };
            self.write(|| Record::Intent(&intent));
            self.put(intent);
        }
    }

    /// The same of a set that is outdated before it is taken.
    pub(super) fn left_of(&self, set: &Intent) -> Option<Intent> {
        let stamp = expired_at(set).filter(|&at| self.newest(&set.key) < Some(at))?;
        Some(Intent { key: set.key.clone(), stamp, wish: Wish::Expire })
    }

    /// Takes an invalidation of a tag, whose marker has this key; always.
    pub fn invalidate_tag(&mut self, key: Bytes, removal: Removal, stamp: Stamp, keys: &Keys) {
        let mut all = match self.deletes.peek(&key).map(|waiting| &waiting.wish) {
            Some(Wish::Invalidate(all)) => all.clone(),
            _ => Vec::new(),
        };
        add(&mut all, removal, stamp);
        let stamp = all.iter().map(|&(_, stamp)| stamp).max().unwrap_or(stamp);
        self.remove(Intent { key, stamp, wish: Wish::Invalidate(all) }, keys);
    }

    /// Takes invalidations of a tag beside those that wait there: of each kind the newest stays.
    pub(super) fn put_removals(&mut self, mut intent: Intent) {
        let waiting = self.deletes.peek(&intent.key).map(|waiting| waiting.wish.clone());
        if let (Wish::Invalidate(all), Some(Wish::Invalidate(waiting))) =
            (&mut intent.wish, waiting)
        {
            for (removal, stamp) in waiting {
                add(all, removal, stamp);
                intent.stamp = stamp.max(intent.stamp);
            }
        }
        self.forget(&intent.key);
        self.put(intent);
    }

    fn remove(&mut self, intent: Intent, keys: &Keys) {
        self.write(|| Record::Intent(&intent));
        self.forget(&intent.key);
        self.put(intent);
        if self.bytes > self.limit {
            self.shed(self.limit);
            self.collapse(keys);
        }
    }

    /// Takes an invalidation of a scope; it settles every earlier set in it.
    pub fn invalidate(&mut self, scope: Scope, stamp: Stamp) {
        self.write(|| Record::Invalidation { scope: &scope, stamp });
        self.forget_covered(&scope, stamp);
        self.note_invalidation(Invalidation { scope, stamp });
        if self.bytes > self.limit {
            self.shed(self.limit);
            self.collapse_patterns();
        }
    }

    /// Sets in a scope that are not newer than this are settled: they are gone.
    pub fn forget_sets(&mut self, scope: &Scope, stamp: Stamp) {
        if self.sets.is_empty() && self.changes.is_empty() && self.taken == 0 {
            return;
        }
        self.write(|| Record::Covered { scope, stamp });
        self.forget_covered(scope, stamp);
        self.note_empty();
    }

    /// All that wait; they are carried out together.
    pub fn take_invalidations(&mut self) -> Vec<Invalidation> {
        let taken = self.invalidations();
        for Invalidation { scope, stamp } in &taken {
            self.remove_invalidation(scope);
            self.under_way.insert(scope.clone(), *stamp);
        }
        self.taken += taken.len();
        taken
    }

    /// Whether an acknowledged invalidation of this key's family has not reached the server yet: what the
    /// server holds of it may be gone already.
    pub fn covers(&self, key: &[u8]) -> bool {
        self.invalidations.over(key, true).next().is_some()
            || self.under_way.over(key, true).next().is_some()
    }

    pub fn settle_invalidation(&mut self, invalidation: &Invalidation) {
        let Invalidation { scope, stamp } = invalidation;
        self.under_way.remove(scope);
        self.write(|| Record::Invalidated { scope, stamp: *stamp });
        self.taken = self.taken.saturating_sub(1);
        self.note_empty();
    }

    pub fn put_back_invalidation(&mut self, invalidation: Invalidation) {
        self.under_way.remove(&invalidation.scope);
        self.taken = self.taken.saturating_sub(1);
        self.forget_covered(&invalidation.scope, invalidation.stamp);
        self.note_invalidation(invalidation);
    }

    fn note_invalidation(&mut self, Invalidation { scope, stamp }: Invalidation) {
        if self.invalidations.get(&scope).is_some_and(|same| *same > stamp) {
            return;
        }
        if let Scope::Prefix(_) = scope {
            let within = |other: &Scope, at: Stamp| scope.includes(other) && at <= stamp;
            let within = self.invalidations.iter().filter(|(other, at)| within(other, **at));
            let within: Vec<Scope> = within.map(|(other, _)| other.clone()).collect();
            within.iter().for_each(|other| self.remove_invalidation(other));
        }
        let weight = weight_of(&scope);
        if self.invalidations.insert(scope, stamp).is_none() {
            self.bytes += weight;
        }
    }

    fn remove_invalidation(&mut self, scope: &Scope) {
        if self.invalidations.remove(scope).is_some() {
            self.bytes -= weight_of(scope);
        }
    }

    /// Patterns alone exceed the bound: those of each family become one invalidation of it.
    fn collapse_patterns(&mut self) {
        if self.bytes <= self.limit {
            return;
        }
        let mut families: HashMap<Bytes, (u64, Stamp)> = HashMap::new();
        for (scope, &stamp) in self.invalidations.iter() {
            if let Scope::Pattern { head, .. } = scope {
                let (count, newest) = families.entry(head.clone()).or_default();
                *count += 1;
                *newest = stamp.max(*newest);
            }
        }
        for (head, (count, stamp)) in families {
            self.collapsed += count;
            let scope = Scope::Prefix(head);
            self.write(|| Record::Invalidation { scope: &scope, stamp });
            self.forget_covered(&scope, stamp);
            self.note_invalidation(Invalidation { scope, stamp });
        }
    }

    pub(super) fn forget_covered(&mut self, scope: &Scope, stamp: Stamp) {
        let covered = self
            .sets
            .iter()
            .filter(|(key, intent)| scope.covers(key, tagged(intent)) && intent.stamp <= stamp);
        let covered: Vec<Bytes> = covered.map(|(key, _)| key.clone()).collect();
        for key in covered {
            self.settle_set(&key, &|_, at| at <= stamp);
        }
        self.replaying.retain(|(key, other), intent| {
            let stays =
                !matches!(intent.wish, Wish::Set { .. } | Wish::Change(_)) || *other > stamp;
            stays || !scope.covers(key, tagged(intent))
        });
        self.forget_changes(&|key, other| scope.covers(key, false) && other <= stamp, false);
    }

    /// Deletes alone exceed the bound: those of the largest family become one invalidation of it, and those
    /// of tags one of everything that has a tag.
    fn collapse(&mut self, keys: &Keys) {
        let scope_of = |key: &[u8], intent: &Intent| match intent.wish {
            Wish::Invalidate(_) => Scope::Tagged(keys.all().clone()),
            _ => Scope::Prefix(keys.family_of(key)),
        };
        while self.bytes > self.limit && !self.deletes.is_empty() {
            let mut scopes: HashMap<Scope, (usize, Stamp)> = HashMap::new();
            for (key, intent) in &self.deletes {
                let (count, newest) = scopes.entry(scope_of(key, intent)).or_default();
                *count += 1;
                *newest = (*newest).max(intent.stamp);
            }
            let largest = scopes.into_iter().max_by_key(|(_, (count, _))| *count);
            let Some((scope, (_, stamp))) = largest else { return };
            let within = self.deletes.iter().filter(|(key, intent)| scope_of(key, intent) == scope);
            let within: Vec<Bytes> = within.map(|(key, _)| key.clone()).collect();
            self.collapsed += within.len() as u64;
            self.invalidate(scope, stamp);
            for key in within {
                if let Some(intent) = self.deletes.pop(&key) {
                    self.write(|| Record::Settled { key: &key, stamp: intent.stamp });
                    self.unweigh(&intent);
                }
            }
        }
    }
}

fn weight_of(scope: &Scope) -> usize {
    INVALIDATION
        + 2 * match scope {
            Scope::Prefix(text) | Scope::Tagged(text) => text.len(),
            Scope::Pattern { head, pattern } => head.len() + pattern.len(),
        }
}

/// The oldest first.
pub(super) fn listed(scopes: &Scopes<Stamp>) -> Vec<Invalidation> {
    let all = scopes.iter().map(|(scope, &stamp)| Invalidation { scope: scope.clone(), stamp });
    let mut all: Vec<_> = all.collect();
    all.sort_unstable_by_key(|one| one.stamp);
    all
}

/// Of each kind the newest counts.
pub fn add(all: &mut Vec<(Removal, Stamp)>, removal: Removal, stamp: Stamp) {
    match all.iter_mut().find(|(other, _)| *other == removal) {
        Some((_, newest)) => *newest = stamp.max(*newest),
        None => all.push((removal, stamp)),
    }
}
