// npm run bench:managers: what limits, sessions and messages cost. With --write: benches/RESULTS-managers.md.
import { suite } from './managers/parts.mjs'
import { runCommand } from './parts/command.mjs'

await runCommand(suite)
