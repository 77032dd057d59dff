// NOAUTH, WRONGPASS, no scripts, maxclients: a real server that does not let us in, and let us in before,
// counts as away until it does again. absent.spec.ts has those that never did.

import { countsAsAway } from './away'
import { notForUs } from './server-states'

countsAsAway(notForUs)
