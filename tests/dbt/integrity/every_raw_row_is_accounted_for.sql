-- Per source and day: raw rows = exported + not exported by rule + duplicates + rejected.
{{ config(meta={'bounded_by': 'event_day'}) }}
{%- set bound = is_under_test(['int_email_events_classified']) %}
{%- set sources = {
    'platform.halts': 'base_platform__halts',
    'platform.unsubscribes': 'base_platform__unsubscribes'
} %}
{%- for name in providers() -%}{%- do sources.update({name ~ '.events': 'stg_' ~ name ~ '__events'}) -%}{%- endfor %}

with classified as (

    select * from {{ ref('int_email_events_classified') }}
    where {{ bound }}

),

raw_counts as (
    {% for source, base in sources.items() %}
    select
        '{{ source }}' as source,
        event_day,
        count(*) as raw_rows
    from {{ ref(base) }}
    where {{ bound }}
    group by event_day
    {{ 'union all' if not loop.last }}
    {% endfor %}
),

counts as (

    select
        source,
        event_day,
        sum(case when disposition = 'exported' then 1 else 0 end) as exported,
        sum(case when disposition = 'not_exported' then 1 else 0 end) as not_exported,
        sum(case when disposition = 'duplicate' then 1 else 0 end) as duplicates,
        sum(case when disposition = 'rejected' then 1 else 0 end) as rejected
    from classified
    group by source, event_day

)

select
    coalesce(raw_counts.source, counts.source) as source,
    coalesce(raw_counts.event_day, counts.event_day) as event_day,
    raw_counts.raw_rows,
    counts.exported,
    counts.not_exported,
    counts.duplicates,
    counts.rejected
from raw_counts
full outer join counts
    on raw_counts.source = counts.source
    and raw_counts.event_day = counts.event_day
where coalesce(raw_counts.raw_rows, 0)
    <> coalesce(counts.exported + counts.not_exported + counts.duplicates + counts.rejected, 0)
