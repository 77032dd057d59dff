// A process that asks for a stream: it says that it is ready, waits for a word in the list `go`, asks `callers` times
// at once, and says that it has asked, what its first caller hears, and what came of all. Its model counts its runs and
// says what stands in the list `words`, until `end` or `fail`.
import { createHoldfast } from 'holdfast'

const [url, keyPrefix, words, callers] = process.argv.slice(2)
const holdfast = createHoldfast({ url, keyPrefix, env: {} })
const client = holdfast.redisClient.getClient()

async function* model() {
  await client.call('INCR', 'runs')
  console.log('running')
  for (;;) {
    const [, word] = await client.call('BLPOP', words, 0)
    if (word === 'end') return
    if (word === 'fail') throw new Error('the model broke off')
    yield word
  }
}

async function read(stream, caller) {
  const chunks = []
  try {
    for await (const chunk of stream) {
      chunks.push(chunk)
      if (caller === 0) console.log(`heard ${chunks.join(' ')}`)
    }
    return { chunks }
  } catch ({ code, message }) {
    return { chunks, error: code ?? message }
  }
}

await client.call('PING')
console.log('ready')
await client.call('BLPOP', 'go', 0)
const streams = await Promise.all(Array.from({ length: Number(callers) }, () => holdfast.AICacheManager.cacheStream('prompt', 'm', model)))
console.log(`asked ${streams.filter(({ source }) => source === 'model').length} of ${streams.length}`)
const answers = await Promise.all(streams.map(read))
console.log(`answers ${[...new Set(answers.map((answer) => JSON.stringify(answer)))].join(' and ')}`)
await holdfast.close()
