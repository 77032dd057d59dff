// An instance in a process of its own, told what to do line by line: [part, method, ...arguments] as
// JSON. Each line is answered by one, with the value or the code of the error.
import { createInterface } from 'node:readline'

import { createHoldfast } from 'holdfast'

const [url, keyPrefix] = process.argv.slice(2)
const holdfast = createHoldfast({ url, keyPrefix, env: {} })
for await (const line of createInterface({ input: process.stdin })) {
  const [part, method, ...args] = JSON.parse(line)
  let answer
  try {
    answer = { value: await holdfast[part][method](...args) }
  } catch (error) {
    answer = { code: error.code ?? String(error) }
  }
  console.log(JSON.stringify(answer))
}
await holdfast.close()
