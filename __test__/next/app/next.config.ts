import type { NextConfig } from 'next'

const config: NextConfig = {
  // A native addon can't be bundled; Next loads it with Node's own require.
  serverExternalPackages: ['holdfast'],
  output: process.env.NEXT_OUTPUT === 'standalone' ? 'standalone' : undefined,
  // This app lies inside another project's folder; its own folder is its root.
  outputFileTracingRoot: __dirname,
  turbopack: { root: __dirname },
}

export default config
