// Next's settings, and the documents of the local model collected before anything is compiled.

import { spawnSync } from 'node:child_process'
import { join } from 'node:path'

import type { NextConfig } from 'next'
import { PHASE_DEVELOPMENT_SERVER, PHASE_PRODUCTION_BUILD } from 'next/constants'

const config: NextConfig = {
  // A native addon can't be bundled; Next loads it with Node's own require.
  serverExternalPackages: ['holdfast'],
  // This app lies inside another project's folder; its own folder is its root.
  outputFileTracingRoot: __dirname,
  turbopack: { root: __dirname },
  poweredByHeader: false,
  devIndicators: false,
}

// Here and not in a "prebuild" script, so that it holds for `npx next build` as well.
export default function configure(phase: string): NextConfig {
  const compiles = phase === PHASE_PRODUCTION_BUILD || phase === PHASE_DEVELOPMENT_SERVER
  if (compiles && !process.env.CHATBOT_DOCUMENTS_COLLECTED) {
    const { status } = spawnSync(process.execPath, [join(__dirname, 'scripts', 'collect-docs.mjs')], { stdio: 'inherit' })
    if (status !== 0) throw new Error('the documents for the local model could not be collected')
    // Next evaluates this file again in its worker processes.
    process.env.CHATBOT_DOCUMENTS_COLLECTED = '1'
  }
  return config
}
