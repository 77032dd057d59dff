// The page before the first question.

import type { Visitor } from '@/lib/session/visitor'

import { Badge } from './badge'

const suggestions = [
  'What happens when Redis is down?',
  'Does getOrSet run my loader once?',
  'What is in the journal?',
  'How do I configure Next.js?',
  'Which errors can a cache call reject with?',
  'What are the honest limits?',
]

/** What this is, and something to begin with. */
export function Welcome({ visitor, onAsk }: { visitor: Visitor; onAsk(question: string): void }) {
  const { name, questions } = visitor
  const others = suggestions.filter((question) => !questions.includes(question))
  const chip = (question: string) => (
    <button key={question} type="button" className="chip" onClick={() => onAsk(question)}>{question}</button>
  )
  return (
    <section className="welcome">
      <h1>{name === null ? 'Ask. Then ask again.' : questions.length > 0 ? `Ask again, ${name}.` : `Ask, ${name}. Then ask again.`}</h1>
      <p className="lead">The first answer comes from the model, the second from the cache. Stop Redis in between, and the page goes on.</p>
      <ul className="legend">
        <li><Badge source="model" /><span>asked for the first time</span></li>
        <li><Badge source="redis" /><span>asked before</span></li>
        <li><Badge source="memory" /><span>asked before, and no Redis</span></li>
      </ul>
      {questions.length > 0 && (
        <div className="chips" data-testid="asked">
          <p className="chips-label">You asked</p>
          {questions.map(chip)}
        </div>
      )}
      <div className="chips">
        {questions.length > 0 && <p className="chips-label">You could ask</p>}
        {others.slice(0, suggestions.length - questions.length).map(chip)}
      </div>
    </section>
  )
}
