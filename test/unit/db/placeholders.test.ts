import { expect } from 'chai';
import { StatementCache, translatePlaceholders } from '../../../common/db/placeholders.js';

describe('placeholders', () => {
  it('become $1, $2 … but not inside texts, quoted names and comments', () => {
    const sql = `SELECT '?', 'it''s ?', "a?""b?" -- why?\n FROM t /* ? \n ? */ WHERE a = ? AND b IN (?, ?)`;
    const numbered = sql.replace('a = ?', 'a = $1').replace('(?, ?)', '($2, $3)');
    expect(translatePlaceholders(sql, true)).to.deep.equal({ text: numbered, count: 3 });
    expect(translatePlaceholders(sql, false)).to.deep.equal({ text: sql, count: 3 });
  });

  it('are translated once, and a full cache starts anew', () => {
    const cache = new StatementCache(true, 2);
    const first = cache.get('SELECT ?');
    expect(cache.get('SELECT ?')).to.equal(first);
    cache.get('SELECT 1');
    cache.get('SELECT 2');
    expect(cache.get('SELECT ?')).to.not.equal(first);
    expect(cache.get('SELECT ?')).to.deep.equal(first);
  });
});
