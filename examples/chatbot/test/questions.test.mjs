// What the built-in model answers: each question of questions.json with the file it names, in words that
// stand there, and a question that the documents don't answer with the admission that they don't.

import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { after, before, test } from 'node:test'

import { ask, startApp } from './support/app.mjs'

const { answerable, unanswerable } = JSON.parse(readFileSync(new URL('questions.json', import.meta.url), 'utf8'))

let app
before(async () => (app = await startApp({ REDIS_URL: 'memory:', LOCAL_MODEL_WORDS_PER_SECOND: '100000' })))
after(() => app?.stop())

test('there are twelve questions about at least ten documents', () => {
  assert.equal(answerable.length, 12)
  assert.ok(new Set(answerable.map(({ file }) => file)).size >= 10)
})

for (const { question, file } of answerable) {
  test(`${question} (${file})`, async () => {
    const { source, model, text, sources, error } = await ask(app.address, question)
    assert.equal(error, undefined)
    assert.deepEqual([source, model], ['model', 'local'])
    const files = sources.map((cited) => cited.file)
    assert.ok(files.includes(file), `cited were ${files}`)
    const cited = files.map(wordsOf)
    const phrases = phrasesOf(text)
    assert.ok(phrases.length > 0, 'the answer says something')
    for (const phrase of phrases) {
      assert.ok(cited.some((words) => words.includes(` ${phrase} `)), `${JSON.stringify(phrase)} stands in none of ${files}`)
    }
    const named = wordsOf(file)
    assert.ok(phrases.some((phrase) => phrase.split(' ').length >= 5 && named.includes(` ${phrase} `)), `${file} is quoted`)
  })
}

for (const question of unanswerable) {
  test(`${question} (no document)`, async () => {
    const { source, model, text, sources } = await ask(app.address, question)
    assert.deepEqual([source, model, sources], ['model', 'local', []])
    assert.equal(text, 'The documentation does not answer this.')
  })
}

/** An answer's sentences, and the cells of what is a row of a table in the document, as their words. */
function phrasesOf(text) {
  return text.split(/\n|(?<=[.!?:;]\)?(?:\*\*)?)\s/).map(words).filter((phrase) => phrase !== '')
}

function wordsOf(file) {
  const markdown = readFileSync(new URL(`../../../${file}`, import.meta.url), 'utf8')
  return ` ${words(markdown.replace(/\]\([^)]*\)/g, ']'))} `
}

function words(text) {
  return (text.replace(/^\s*\d+\.\s/, '').toLowerCase().match(/[\p{L}\p{N}_]+/gu) ?? []).join(' ')
}
