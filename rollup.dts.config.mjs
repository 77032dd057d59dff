// The roll-up of the public types: js/index.ts and all that it names, in one index.d.ts at the root.
// scripts/build-js.mjs runs it; the result is committed.

import { dts } from 'rollup-plugin-dts'

export default {
  input: 'js/index.ts',
  output: { file: 'index.d.ts', format: 'es' },
  plugins: [dts({ tsconfig: 'tsconfig.build.json' })],
}
