// The page before the first question.

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
export function Welcome({ onAsk }: { onAsk(question: string): void }) {
  return (
    <section className="welcome">
      <h1>Ask. Then ask again.</h1>
      <p className="lead">The first answer comes from the model, the second from the cache. Stop Redis in between, and the page goes on.</p>
      <ul className="legend">
        <li><Badge source="model" /><span>asked for the first time</span></li>
        <li><Badge source="redis" /><span>asked before</span></li>
        <li><Badge source="memory" /><span>asked before, and no Redis</span></li>
      </ul>
      <div className="chips">
        {suggestions.map((question) => (
          <button key={question} type="button" className="chip" onClick={() => onAsk(question)}>{question}</button>
        ))}
      </div>
    </section>
  )
}
