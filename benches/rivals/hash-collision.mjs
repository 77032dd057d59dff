// Two arguments whose 32-bit hashes are the same: is the second answered with what was kept for the first?

const [FIRST, SECOND] = ['tenant-Ez', 'tenant-FY']

export const hashCollision = {
  id: 'hash-collision',
  title:
    'A function is wrapped, its key made of its arguments as the library does it by default; ' +
    `it is called with "${FIRST}", and then with "${SECOND}".`,
  needs: ['remember'],
  verdicts: { apart: 'each got its own', mixed: "the second got the first one's" },
  parts: { ask },

  async show({ child }) {
    const [first, second] = await child('ask')
    return {
      happened: `"${FIRST}" got ${JSON.stringify(first)}, "${SECOND}" got ${JSON.stringify(second)}`,
      verdict: first?.tenant === FIRST && second?.tenant === SECOND ? 'apart' : 'mixed',
    }
  },
}

async function ask(cache) {
  const remembered = cache.remember(async function profileOf(tenant) {
    return { tenant }
  })
  return [await remembered(FIRST), await remembered(SECOND)]
}
