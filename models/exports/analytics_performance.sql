with campaign_days as (

    select * from {{ ref('campaign_days') }}

)

select
    namespace,
    day,
    {% for count in email_counts() %}
    cast(sum({{ count }}) as bigint) as {{ count }},
    {% endfor %}
    cast(sum(revenue) as decimal(38, 3)) as revenue
from campaign_days
group by namespace, day
order by day, namespace
