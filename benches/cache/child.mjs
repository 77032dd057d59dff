// The process of one contender in one part.
import { answerFor } from '../parts/answer.mjs'
import { suite } from './parts.mjs'

await answerFor(suite)
