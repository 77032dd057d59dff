// A process that listens to a channel and a pattern, says what it hears, and leaves when it is told to by a message;
// then nothing holds it. With 'loop' it does so by `for await`; with 'idle' it does not keep itself alive.
import { createHoldfast } from 'holdfast'

const [url, keyPrefix, how] = process.argv.slice(2)
const { pubSubManager } = createHoldfast({ url, keyPrefix, env: {} })
const say = ({ channel, data }) => console.log(`${channel} ${JSON.stringify(data)}`)
if (how === 'loop') {
  const subscription = await pubSubManager.subscribe('room')
  console.log('ready')
  for await (const message of subscription) {
    if (message.data === 'leave') break
    say(message)
  }
} else if (how === 'idle') {
  await pubSubManager.subscribe('room', say, { keepAlive: false })
  console.log('ready')
} else {
  const all = [await pubSubManager.subscribe('ro*', say, { pattern: true })]
  const leave = async (message) => {
    if (message.data !== 'leave') return say(message)
    if (how === 'unsubscribe') {
      await pubSubManager.unsubscribe('room')
      await pubSubManager.unsubscribe('ro*')
    } else for (const subscription of all) await subscription.unsubscribe()
  }
  all.push(await pubSubManager.subscribe('room', leave))
  console.log('ready')
}
