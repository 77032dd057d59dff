// The process of one contender and one part of a scenario: it answers with what it saw, and ends.
import { answer, request } from '../lib/child.mjs'
import { contenders } from './contenders.mjs'
import { scenarios } from './scenarios.mjs'

const { scenarioId, contenderId, part, ...message } = request()
const scenario = scenarios.find(({ id }) => id === scenarioId)
const contender = contenders.find(({ id }) => id === contenderId)

const cache = await contender.open({ port: message.port, tags: scenario.needs.includes('tags') })
answer(await scenario.parts[part](cache, message))
