"""The SQL of the retail demo. DuckDB compares text by bytes, which for UTF-8 is the order of code points."""

from __future__ import annotations

from typing import Final

NEIGHBOURS_PER_ITEM: Final = 50
MIN_TOGETHER: Final = 5
RECENT_DAYS: Final = 30

READ_SALES: Final = r"""
create table sales as
with lines as (
    -- distinct over every column: the source repeats whole lines
    select distinct
        upper(trim(invoice_no)) as invoice,
        upper(trim(stock_code)) as item_id,
        trim(regexp_replace(description, '\s+', ' ', 'g')) as description,
        unit_price,
        quantity,
        invoice_date as sold_at,
        customer_id,
        country
    from read_parquet($parquet)
)
select invoice, item_id, description, unit_price, sold_at, customer_id
from lines
where not starts_with(invoice, 'C')  -- a cancellation
  and quantity > 0
  and unit_price > 0
  -- products have five digits and at most two letters, or the prefix of the shop's own brand; everything else is
  -- bookkeeping: POST, DOT, C2, M, D, S, B, CRUK, PADS, BANK CHARGES, AMAZONFEE, GIFT_0001_20 …
  and regexp_full_match(item_id, '[0-9]{5}[A-Z]{0,2}|DCGS[0-9A-Z]+')
  -- the few services that were given a product's code
  and not regexp_matches(coalesce(upper(description), ''), 'PACKING CHARGE|DAY CARRIAGE|GIFT VOUCHER')
"""
"""The lines that sold a product, once each. A line without a customer is a sale like any other.

The source does not link a cancellation to the invoice it cancels, so the cancelled sale stays: it was wanted that day.
"""

NAMED_ITEMS: Final = r"""
create table named as
with spelt as (
    select item_id, description, count(*) as times from sales group by item_id, description
),
judged as (
    select
        *,
        length(regexp_replace(description, '[^A-Z]', '', 'g')) as capitals,
        length(regexp_replace(description, '[^a-z]', '', 'g')) as small_letters
    from spelt
),
best as (
    select item_id, description
    from judged
    -- product names are written in capitals; what is mostly not is a stock note: "?", "damaged", "Found", "check"
    where capitals >= 3 and capitals > small_letters
    qualify row_number() over (partition by item_id order by times desc, description) = 1
),
facts as (
    select item_id, round(median(unit_price), 2) as price, min(sold_at) as first_sold_at
    from sales
    group by item_id
)
select
    item_id,
    description,
    price,
    -- the source names no time zone; its local time is London's and is taken as UTC
    strftime(first_sold_at, '%Y-%m-%dT%H:%M:%SZ') as created_at,
    row_number() over (order by item_id) as position  -- joins on a number are faster than on text
from best join facts using (item_id)
"""
"""One row per product that has a name. What only ever carried stock notes is left out with all its sales."""

ITEMS: Final = "select item_id, description, price, created_at from named order by item_id"

POPULARITY: Final = """
create table popularity as
select item_id, sold_at::date as day, count(distinct invoice) as score
from sales semi join named using (item_id)
group by item_id, day
"""
"""An invoice is a session: a product scores one for each, whatever the quantity and however many lines."""

WRITE_POPULARITY: Final = """
copy (
    select item_id, strftime(day, '%Y-%m-%d') as day, score from popularity order by item_id, day
) to $path (format json)
"""

COOC: Final = """
create table cooc as
with invoices as (
    select invoice, row_number() over (order by invoice) as session from (select distinct invoice from sales)
),
baskets as (
    select distinct session, position from sales join invoices using (invoice) join named using (item_id)
),
pairs as (
    select a.position as low, b.position as high, count(*) as together
    from baskets a join baskets b on a.session = b.session and a.position < b.position
    group by low, high
    having count(*) >= $least
),
directed as (
    select low as item, high as neighbor, together from pairs
    union all
    select high, low, together from pairs
)
select item, neighbor, together
from directed
-- positions follow the code points of the item ids, so a tie goes to the smaller id
qualify row_number() over (partition by item order by together desc, neighbor) <= $most
"""
"""How many invoices hold both products, for the neighbours that each product met most often over all days.

Both directions are counted; each product keeps its own best neighbours, so a row need not have its mirror image.
"""

WRITE_COOC: Final = """
copy (
    select
        i.item_id,
        n.item_id as neighbor_id,
        -- One row per pair, on the last day of the data: serving sums co-visits over all days without decay, so a split
        -- by month would give the same answers from several times the rows.
        (select strftime(max(day), '%Y-%m-%d') from popularity) as day,
        together as score
    from cooc join named i on i.position = item join named n on n.position = neighbor
    order by i.item_id, n.item_id
) to $path (format json)
"""

WRITE_EVENTS: Final = r"""
copy (
    select
        -- by invoice, articles are sorted in the source, not in the order of buying: hashes tell no order at all
        md5(invoice || chr(10) || item_id) as event_id,
        'purchase' as type,
        strftime(min(sold_at), '%Y-%m-%dT%H:%M:%SZ') as at,
        item_id,
        'customer-' || min(customer_id) as user_id,
        invoice as session_id
    from sales semi join named using (item_id)
    group by invoice, item_id
    order by min(sold_at), event_id
) to $path (format json)
"""
"""An invoice is a session and a customer a user; who has no number is known by the invoice alone."""

SALES_BY_ITEM: Final = """
select
    item_id,
    sum(score)::bigint as invoices,
    coalesce(sum(score) filter (day > (select max(day) from popularity) - $recent_days), 0)::bigint as recent
from popularity
group by item_id
order by invoices desc, item_id
"""

CLOSEST_PAIR: Final = """
with sold as (
    select item_id, position, sum(score) as invoices
    from popularity join named using (item_id)
    group by item_id, position
),
top as (select * from sold order by invoices desc, item_id limit 100)
select i.item_id
from cooc join top i on i.position = item join top n on n.position = neighbor
order by together / (i.invoices + n.invoices - together) desc, i.invoices desc, i.item_id
limit 1
"""
"""Of the 100 best sellers the two that share most of their invoices (Jaccard); the better seller of the two."""
