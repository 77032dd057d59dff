//! What removes goes before anybody reads from the server again: invalidations of families, ends of sessions, deletes.
use super::fallback::Fallback;
use super::journal::Invalidation;
use super::keeper::BATCH;
use crate::backend::intent::{Intent, Outcome};
use crate::backend::redis::{Keeper, Replayer};
use crate::base::error::Result;

/// Deletes or an invalidation on their way. Dropped before they are done, they go back.
struct Taken<'a> {
    fallback: &'a Fallback,
    invalidations: Vec<Invalidation>,
    deletes: Vec<Intent>,
}

impl<'a> Taken<'a> {
    fn some(fallback: &'a Fallback) -> Self {
        let mut local = fallback.local.lock();
        let invalidations = local.journal.take_invalidations();
        let deletes = match invalidations.as_slice() {
            [] => local.journal.take_deletes(BATCH),
            _ => Vec::new(),
        };
        Self { fallback, invalidations, deletes }
    }

    fn done(&mut self, outcomes: &[Outcome]) {
        let moment = self.fallback.moment();
        let mut local = self.fallback.local.lock();
        for intent in self.deletes.drain(..) {
            local.journal.settle(&intent);
            local.heed_end(&intent, &moment);
        }
        for invalidation in self.invalidations.drain(..) {
            local.journal.settle_invalidation(&invalidation);
        }
        drop(local);
        outcomes.iter().for_each(|outcome| self.fallback.count(Some(*outcome)));
    }
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        let mut local = self.fallback.local.lock();
        for invalidation in self.invalidations.drain(..) {
            local.journal.put_back_invalidation(invalidation);
        }
        self.deletes.drain(..).for_each(|intent| local.journal.put_back(intent));
    }
}

impl Fallback {
    /// Carries out all that removes, until nothing is left of it.
    pub(super) async fn remove_first(&self, replayer: &mut Replayer) -> Result<()> {
        if !self.syncs() {
            return Ok(());
        }
        self.heed_clears(replayer).await?;
        loop {
            let mut taken = Taken::some(self);
            let outcomes = if !taken.invalidations.is_empty() {
                let all = taken.invalidations.iter();
                let all = all.map(|one| (one.scope.clone(), one.stamp)).collect();
                let outcome = replayer.clear(&all).await?;
                vec![outcome; taken.invalidations.len()]
            } else if taken.deletes.is_empty() {
                return Ok(());
            } else {
                let certain = |intent: &Intent| self.may_write_absent(intent);
                replayer.deletes(&taken.deletes, &certain).await?
            };
            taken.done(&outcomes);
        }
    }
}
