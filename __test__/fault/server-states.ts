// States of a real server in which it serves nobody, or not us: each with the way in and the way out.
// What must become of them stands in away.ts.

import { mkdirSync, rmdirSync } from 'node:fs'
import { join } from 'node:path'

import type { InstanceOptions } from '../cache/stores'
import { freePort } from '../support/ports'
import type { RedisServerOptions } from '../support/redis-server'
import { RespError, type RespClient } from '../support/resp-client'
import { waitFor } from '../support/wait-for'
import type { Scene } from './outage'

export interface ServerState {
  name: string
  /** What the reason of the events says of it. */
  says: RegExp
  /** The code of raw commands while it lasts. Default: E_UNAVAILABLE. */
  code?: 'E_AUTH'
  /** The code that the connection's state tells. Default: the same. */
  lastError?: 'E_UNSUPPORTED'
  server?: RedisServerOptions
  instance?: InstanceOptions
  /** Before the instance is used. */
  prepare?: (judge: RespClient) => Promise<unknown>
  /** In it when this resolves. `judge` is a connection from before. */
  begin: (scene: Scene, judge: RespClient) => Promise<unknown>
  /** Out of it when this resolves. */
  end: (scene: Scene, judge: RespClient) => Promise<unknown>
}

/** So many keys, each slow to load, take longer than any test. */
const FILLER = "for n = 1, 40000 do redis.call('SET', 'filler:' .. n, 'some text') end"
const SLOW_LOADING = { 'key-load-delay': '1000', 'loading-process-events-interval-bytes': '1024' }

/** Whether the server answers a harmless command with this error. */
async function refuses(scene: Scene, code: string): Promise<boolean> {
  using client = await scene.server.client()
  const [reply] = await client.pipeline([['GET', 'any']])
  return reply instanceof RespError && reply.message.startsWith(code)
}

const refused = (scene: Scene, code: string): Promise<boolean> => waitFor(code, () => refuses(scene, code))

async function replicaOfNobody(_: Scene, judge: RespClient): Promise<void> {
  await judge.call('REPLICAOF', '127.0.0.1', await freePort())
}

async function bgsave(judge: RespClient, status: 'ok' | 'err'): Promise<void> {
  await judge.call('BGSAVE')
  await waitFor(`the save to be ${status}`, async () => {
    const info = String(await judge.call('INFO', 'persistence'))
    return info.includes('rdb_bgsave_in_progress:0') && info.includes(`rdb_last_bgsave_status:${status}`)
  })
}

/** A user that has all rights at first. */
const app = {
  instance: { username: 'app', password: 'of-the-app' },
  prepare: (judge: RespClient) => judge.call('ACL', 'SETUSER', 'app', 'on', '>of-the-app', '~*', '&*', '+@all'),
}

/** A user that loses this right, and logs in again. */
const without = (right: string): ServerState => ({
  name: `without ${right} for this user`,
  says: /script|EVAL/i,
  lastError: 'E_UNSUPPORTED',
  ...app,
  begin: async (_, judge) => {
    await judge.call('ACL', 'SETUSER', 'app', `-${right}`)
    await judge.call('CLIENT', 'KILL', 'USER', 'app')
  },
  end: (_, judge) => judge.call('ACL', 'SETUSER', 'app', '+@all'),
})

const dump = (scene: Scene): string => join(scene.server.directory, 'dump.rdb')

export const wholeServer: ServerState[] = [
  {
    name: 'LOADING after a restart',
    says: /./,
    begin: async (scene, judge) => {
      await judge.call('EVAL', FILLER, 0)
      await judge.call('SAVE')
      await scene.server.kill()
      const args = Object.entries(SLOW_LOADING).flatMap(([name, value]) => [`--${name}`, value])
      await scene.server.start({ args, loading: true })
      await refused(scene, 'LOADING')
    },
    end: async (scene) => {
      using client = await scene.server.client()
      await client.call('CONFIG', 'SET', 'key-load-delay', '0')
      await waitFor('the data to be loaded', async () => (await client.call('PING')) === 'PONG')
    },
  },
  {
    name: 'LOADING while connections stand',
    says: /LOADING/,
    // The command below empties the server before it loads, and whoever tracks is told so: then nothing is kept.
    instance: { nearCache: 'off' },
    server: { args: ['--enable-debug-command', 'yes'] },
    begin: async (scene, judge) => {
      await judge.call('EVAL', FILLER, 0)
      await judge.call('CONFIG', 'SET', ...Object.entries(SLOW_LOADING).flat())
      // Answered when everything is loaded.
      judge.call('DEBUG', 'RELOAD').catch(() => {})
      await refused(scene, 'LOADING')
    },
    end: async (scene, judge) => {
      await scene.outside((client) => client.call('CONFIG', 'SET', 'key-load-delay', '0'))
      await judge.call('PING')
    },
  },
  {
    name: "BUSY with somebody's script that does not end",
    says: /BUSY/,
    server: { args: ['--busy-reply-threshold', '1'] },
    begin: async (scene, judge) => {
      judge.call('EVAL', 'while true do end', 0).catch(() => {})
      await refused(scene, 'BUSY')
    },
    end: async (scene, judge) => {
      await scene.outside((client) => client.call('SCRIPT', 'KILL'))
      await judge.call('PING')
    },
  },
  {
    name: 'READONLY, as the replica of a master that is away',
    says: /READONLY|read-only/,
    begin: replicaOfNobody,
    end: (_, judge) => judge.call('REPLICAOF', 'NO', 'ONE'),
  },
  {
    name: 'MASTERDOWN, as a replica that serves no stale data',
    says: /MASTERDOWN/,
    server: { args: ['--replica-serve-stale-data', 'no'] },
    begin: async (scene, judge) => {
      await replicaOfNobody(scene, judge)
      await refused(scene, 'MASTERDOWN')
    },
    end: (_, judge) => judge.call('REPLICAOF', 'NO', 'ONE'),
  },
  {
    name: 'MISCONF, because it could not save',
    says: /MISCONF/,
    begin: async (scene, judge) => {
      // A folder where its file should be.
      mkdirSync(dump(scene))
      await judge.call('CONFIG', 'SET', 'save', '3600 1')
      await bgsave(judge, 'err')
    },
    end: async (scene, judge) => {
      rmdirSync(dump(scene))
      await bgsave(judge, 'ok')
    },
  },
]

export const notForUs: ServerState[] = [
  {
    name: 'NOAUTH, because it asks for a password now',
    says: /refuses|NOAUTH/,
    code: 'E_AUTH',
    begin: async (scene, judge) => {
      await judge.call('CONFIG', 'SET', 'requirepass', 'new-password')
      // Whoever is logged in stays so.
      scene.proxy.resetConnections()
    },
    end: (_, judge) => judge.call('CONFIG', 'SET', 'requirepass', ''),
  },
  {
    name: 'WRONGPASS, because the password was changed',
    says: /refuses|WRONGPASS/,
    code: 'E_AUTH',
    ...app,
    begin: async (_, judge) => {
      await judge.call('ACL', 'SETUSER', 'app', 'resetpass', '>changed')
      await judge.call('CLIENT', 'KILL', 'USER', 'app')
    },
    end: (_, judge) => judge.call('ACL', 'SETUSER', 'app', 'resetpass', '>of-the-app'),
  },
  {
    name: 'WRONGPASS, because the user was removed',
    says: /refuses|WRONGPASS/,
    code: 'E_AUTH',
    ...app,
    begin: (_, judge) => judge.call('ACL', 'DELUSER', 'app'),
    end: (_, judge) => app.prepare(judge),
  },
  without('script'),
  without('evalsha'),
  {
    name: 'full of clients',
    says: /max number of clients|connection|reached/,
    begin: async (scene, judge) => {
      // Only the judge's.
      await judge.call('CONFIG', 'SET', 'maxclients', '1')
      scene.proxy.resetConnections()
    },
    end: (_, judge) => judge.call('CONFIG', 'SET', 'maxclients', '100'),
  },
]
