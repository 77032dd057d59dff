// npm run bench:cache: what hits, tags, batches, size and coherence cost. With --write: benches/RESULTS-cache.md.
import { suite } from './cache/parts.mjs'
import { runCommand } from './parts/command.mjs'

await runCommand(suite)
