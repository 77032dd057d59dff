// What a hit in memory costs the server: the commands that it counts while one process reads one entry.
import { pause } from '../../scripts/soak/clock.mjs'
import { info } from '../lib/asker.mjs'

const HITS = 100
/** Those of whoever asks. */
const OURS = ['info', 'quit']

export const commandsPerHit = {
  id: 'commands-per-hit',
  title:
    `${HITS} reads, one after the other, of an entry that the same process has in memory; ` +
    'INFO commandstats before and after.',
  needs: ['tags'],
  verdicts: {
    free: 'hits of a tagged entry cost Redis nothing',
    asks: 'memory holds the value, and Redis is asked all the same',
  },
  parts: { hits },

  async show({ child }) {
    const { tagged, untagged } = await child('hits')
    return {
      happened: `a tagged entry: ${inWords(tagged)}; an untagged one: ${inWords(untagged)}`,
      verdict: Object.keys(tagged).length === 0 ? 'free' : 'asks',
    }
  },
}

async function hits(cache, { port }) {
  await cache.set('tagged', 'value', { tags: ['users'] })
  await cache.set('untagged', 'value')
  return { tagged: await commandsOf(cache, port, 'tagged'), untagged: await commandsOf(cache, port, 'untagged') }
}

async function commandsOf(cache, port, key) {
  await cache.get(key)
  // What is done once and in the background is done by then.
  await pause(300)
  const before = await countsOf(port)
  for (let hit = 0; hit < HITS; hit += 1) {
    if ((await cache.get(key)) !== 'value') throw new Error('A read was no hit.')
  }
  const after = await countsOf(port)
  const more = Object.entries(after).map(([name, count]) => [name, count - (before[name] ?? 0)])
  return Object.fromEntries(more.filter(([name, count]) => count > 0 && !OURS.includes(name)))
}

/** {[command]: calls since the server was started}. */
async function countsOf(port) {
  const lines = (await info(port, 'commandstats')).matchAll(/^cmdstat_(\S+?):calls=(\d+)/gm)
  return Object.fromEntries([...lines].map(([, name, count]) => [name, Number(count)]))
}

function inWords(commands) {
  const words = Object.entries(commands).map(([name, count]) => `${count} ${name.toUpperCase()}`)
  return words.length === 0 ? 'no command' : words.join(', ')
}
