// LOADING, BUSY, READONLY, MASTERDOWN, MISCONF: a real server in each of these states counts as away.

import { countsAsAway } from './away'
import { wholeServer } from './server-states'

countsAsAway(wholeServer)
