// The last thing that it does is to wait for one answer.
import { createHoldfast } from 'holdfast'

const [url, keyPrefix] = process.argv.slice(2)
const { redisClient } = createHoldfast({ url, keyPrefix, env: {} })
const [, value] = await redisClient.getClient().call('BLPOP', 'awaited', 0)
console.log(`came: ${value}`)
