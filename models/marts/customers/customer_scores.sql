with scores as (

    select * from {{ ref('int_scores_judged') }}
    where disposition = 'kept'

),

bands as (

    select * from {{ ref('score_bands') }}

),

ranked as (

    select
        namespace,
        customer_id,
        score,
        raw_score,
        computed_at,
        rank() over (partition by namespace, score order by raw_score) as place,
        count(*) over (partition by namespace, score) as places
    from scores

),

percentiles as (

    select
        *,
        case when places = 1 then 0 else {{ whole_quotient('100 * (place - 1)', 'places - 1') }} end as percentile
    from ranked

)

select
    percentiles.namespace,
    percentiles.customer_id,
    percentiles.score,
    percentiles.raw_score,
    cast(percentiles.percentile as bigint) as percentile,
    case
        when percentiles.percentile >= coalesce(own.high_from, usual.high_from) then 'high'
        when percentiles.percentile >= coalesce(own.medium_from, usual.medium_from) then 'medium'
        when coalesce(own.medium_from, usual.medium_from) is not null then 'low'
    end as band,
    percentiles.computed_at
from percentiles
left join bands as own
    on percentiles.namespace = own.namespace
    and percentiles.score = own.score
left join bands as usual
    on percentiles.score = usual.score
    and usual.namespace = 'default'
