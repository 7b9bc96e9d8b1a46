{# What is counted of emails, in the order of the files; revenue follows. What each means is in the seed metrics. #}
{% macro email_counts() -%}
    {{ return([
        'sent', 'hard_bounced', 'soft_bounced', 'delivered', 'deferred', 'opens', 'unique_opens', 'machine_opens', 'clicks',
        'unique_clicks', 'bot_clicks', 'unsubscribes', 'spam_reports', 'dropped', 'halted', 'conversions'
    ]) }}
{%- endmacro %}


{# What is counted of customers by week; revenue follows. #}
{% macro customer_counts() -%}
    {{ return([
        'buyers', 'new_customers', 'retained_customers', 'reactivated_customers', 'one_time_customers', 'repeat_customers',
        'orders'
    ]) }}
{%- endmacro %}
