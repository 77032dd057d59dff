// The suite: every spec under __test__, against the built package, with one Redis for the run.

import { fileURLToPath } from 'node:url'

import { defineConfig } from 'vitest/config'

export default defineConfig({
  resolve: {
    // '@/lib/cache' and '@/lib/cache/redis-client', as an app's own files would be.
    alias: { '@/lib': fileURLToPath(new URL('./__test__/support/lib', import.meta.url)) },
  },
  test: {
    include: ['__test__/**/*.spec.ts'],
    // The consumer suite has a run of its own, under every pool: vitest.consumer.config.mts.
    exclude: ['**/node_modules/**', '__test__/consumer/**', '__test__/jest/**', '__test__/next/**'],
    globalSetup: ['./__test__/support/global-setup.ts'],
    pool: 'forks',
    // Most of a test's time is waiting for servers that were killed, frozen or cut off.
    maxWorkers: 4,
    // Bounds against hanging; no test is about speed.
    testTimeout: 30_000,
    hookTimeout: 30_000,
    // The built package is loaded as Node loads it, never transformed: that is what users get.
    server: { deps: { external: [/\/dist\/[^/]+\.m?js$/, /\/native\.js$/] } },
  },
})
