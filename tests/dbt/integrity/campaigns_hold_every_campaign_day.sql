-- Naming campaigns loses and doubles nothing: each measure of each day and client is the same before and after.
with sides as (

    select
        namespace,
        day,
        {% for count in email_counts() %}
        {{ count }},
        {% endfor %}
        revenue
    from {{ ref('campaign_days') }}

    union all

    select
        namespace,
        day,
        {% for count in email_counts() %}
        -{{ count }} as {{ count }},
        {% endfor %}
        -revenue as revenue
    from {{ ref('analytics_campaigns') }}

)

select
    namespace,
    day,
    sum(sent) as sent,
    sum(revenue) as revenue
from sides
group by namespace, day
having
    {% for count in email_counts() %}
    sum({{ count }}) <> 0 or
    {% endfor %}
    sum(revenue) <> 0
